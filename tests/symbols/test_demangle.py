import random
import subprocess
import sys
import time

import pytest

from workbench.symbols import demangle
from workbench.symbols.demangle import MAX_EXPANSION, MAX_MANGLED, demangled, expansion

needs_library = pytest.mark.skipif(not demangle.available, reason="pydemumble is not installed")
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def bomb(levels):
    """Return a name each of whose parameters is twice as long as the one before."""
    return "_Z1f1AIiiE" + "".join(f"S_IS{DIGITS[n]}_S{DIGITS[n]}_E" for n in range(levels))


def pack_bomb(depth, width):
    pack = f"J{'i' * width}E"
    inner = f"DpT{depth - 2}_"
    for level in range(depth - 2, -1, -1):
        parameter = f"T{level - 1 if level > 0 else ''}_"
        inner = f"Dp1AI{parameter}{inner}E"
    return f"_Z1fI{pack * depth}Ev{inner}"


@needs_library
@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("_ZN3foo3barEi", "foo::bar(int)"),
        (
            "_ZNSt6vectorIiSaIiEE9push_backERKi",
            "std::vector<int, std::allocator<int>>::push_back(int const&)",
        ),
        ("_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE", "core::fmt::Formatter::write_str"),
        ("_RNvCskwGfYPst2Cb_3foo16example_function", "foo::example_function"),
        ("_Z3foov.cold", "foo() (.cold)"),
        ("_Z3foov@plt", "foo()@plt"),
    ],
)
def test_readable_names(name, readable):
    assert demangled(name) == readable


@pytest.mark.parametrize(
    "name", ["main", "", "_Z", "_ZZZ", "_start", "Z3foov", "read@plt", "_Rust"]
)
def test_other_names_stay(name):
    assert demangled(name) == name


@needs_library
def test_a_short_name_that_stands_for_a_long_text_stays():
    assert demangled(bomb(3)) != bomb(3)
    assert len(bomb(34)) < 400
    for name in (bomb(34), pack_bomb(4, 200), "_RMC0" + "TB_B_E" * 100, "_Z" + "P" * 5000 + "i"):
        started = time.perf_counter()
        assert demangled(name) == name
        assert time.perf_counter() - started < 0.1


@needs_library
def test_the_bound_holds_on_names_that_are_let_through():
    import pydemumble

    seen = 0
    names = [bomb(n) for n in range(1, 20)]
    names += [pack_bomb(depth, width) for depth in (2, 3, 4) for width in (2, 5, 20, 60)]
    for name in names:
        if expansion(name) <= MAX_EXPANSION:
            # Each reference is followed by punctuation and the text of a type: ten characters.
            assert len(pydemumble.demangle(name)) <= 10 * expansion(name)
            seen += 1
    assert seen > 10


def test_names_that_are_too_long_are_not_looked_at():
    assert expansion("_Z" + "x" * MAX_MANGLED) == float("inf")


@needs_library
def test_damaged_names_harm_nothing():
    rng = random.Random(1)
    seeds = [bomb(8), pack_bomb(2, 5), "_ZNSt6vectorIiSaIiEE9push_backERKi", "_RNvC3foo3bar"]
    letters = "_ZSTRDpIJEN0123456789aiKPvsLC"
    lines = []
    for _ in range(20_000):
        name = list(rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            name[rng.randrange(2, len(name))] = rng.choice(letters)
        lines.append("".join(name))
    script = "import sys\nfrom workbench.symbols.demangle import demangled\n"
    script += "print(max(len(demangled(line.strip())) for line in sys.stdin))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert 0 < int(done.stdout) <= 4096


def test_without_the_library_names_stay(monkeypatch):
    monkeypatch.setattr(demangle, "_demangle", None)
    assert demangled("_Z3foov") == "_Z3foov"
    monkeypatch.setitem(sys.modules, "pydemumble", None)
    assert demangle._load() is None


def test_what_is_no_text_stays(monkeypatch):
    monkeypatch.setattr(demangle, "_demangle", lambda _: b"\xff".decode())
    assert demangled("_RNvC3foo3bar") == "_RNvC3foo3bar"
