"""Expressions: what they read, and which texts are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.ctype import ARRAY, CHAR, NUMBERS, STRUCT, CType, Member, pointer_to
from workbench.errors import ParameterError
from workbench.probing.expressions import METRICS, Reader
from workbench.probing.operands import KERNEL, NUMBER, TEXT, TEXT_AT, USER, Operand
from workbench.probing.points import parse
from workbench.probing.registers import MACHINES
from workbench.probing.scopes import Scope

I32 = NUMBERS["i32"]
TEXTS = CType(ARRAY, "char[8]", 8, count=8, target=lambda: CHAR)
THING = CType(STRUCT, "thing", 16, members=lambda: {
    "in": Member(lambda: pointer_to(THING), 0), "n": Member(lambda: I32, 64),
    "text": Member(lambda: TEXTS, 96),
})  # fmt: skip


def operand(kind, at, **more):
    return Operand("context", kind, "x", (at,), (KERNEL,), USER, **more)


SCOPE = Scope(
    parse("uprobe:p:f"),
    MACHINES["x86_64"],
    {
        "n": operand(I32, 112),
        "p": operand(pointer_to(THING), 104),
        "path": operand(pointer_to(CHAR), 96),
        "where": operand(TEXTS, 0, read=TEXT_AT),
        "pid": operand(I32, 8),
    },
    {"real": "it is a floating-point number"},
    operand(NUMBERS["i64"], 80, stage="return"),
    known="the program's DWARF",
    order=("n", "p", "path", "real"),
)
READER = Reader(SCOPE)
BARE = Reader(Scope(parse("uprobe:p:f"), MACHINES["x86_64"]))


@pytest.mark.parametrize(
    ("text", "read", "chain", "length"),
    [
        ("n", NUMBER, (112,), 0),
        ("args.n", NUMBER, (112,), 0),
        ("arg0", NUMBER, (112,), 0),
        ("args.pid", NUMBER, (8,), 0),
        ("p.in.in.n", NUMBER, (104, 0, 0, 8), 0),
        ("p.text", TEXT, (104, 12), 8),
        ("path", TEXT, (96, 0), 64),
        ("str(path, 100)", TEXT, (96, 0), 100),
        ("ptr(path)", NUMBER, (96,), 0),
        ("where", TEXT_AT, (0,), 64),
        ("u8(n)", NUMBER, (112,), 0),
        ("retval", NUMBER, (80,), 0),
        ("arg5", NUMBER, (64,), 0),
        ("u16p(arg5 + 4)[3]", NUMBER, (64, 10), 0),
        ("u16p(arg5)[3]", NUMBER, (64, 6), 0),
    ],
)
def test_fields(text, read, chain, length):
    value = READER.field(text)
    assert (value.read, value.operand.chain, value.length) == (read, chain, length)


def test_what_is_of_the_task():
    assert READER.field("pid").operand.source == "pid"
    assert READER.field("comm").length == 16
    assert READER.field("latency").operand.stage == "return"
    assert not READER.field("n").can_fail
    assert READER.field("p.n").can_fail


@pytest.mark.kernel
def test_the_task_itself():
    value = READER.field("task.real_parent.tgid")
    assert (value.operand.source, len(value.operand.chain)) == ("task", 2)
    assert READER.field("task.comm").length == 16


def test_numbers_of_arguments_that_are_not_known():
    assert BARE.field("arg0").operand.chain == (112,)
    assert BARE.field("arg7").operand.chain == (152, 16)
    with pytest.raises(ParameterError, match="'n'") as caught:
        BARE.field("n")
    assert "arg0" in caught.value.why


def test_filters():
    (one,) = READER.filter("n == -3")
    assert (one.compare, one.wanted, one.mask) == ("eq", -3, 2**64 - 1)
    first, second, third = READER.filter("n >= 1 and n & 0xf0 != 0x10 and path != 'x'")
    assert (first.compare, second.mask, second.wanted) == ("ge", 0xF0, 0x10)
    assert (third.compare, third.wanted) == ("ne", b"x")
    (masked,) = READER.filter("n & 4")
    assert (masked.compare, masked.wanted, masked.mask) == ("ne", 0, 4)
    assert READER.filter("  ") == []


def test_metrics():
    for kind in METRICS:
        metric = READER.metric(f"{kind}(n)")
        assert (metric.kind, metric.text, metric.value.operand.chain) == (kind, "n", (112,))


def test_defaults_leave_out_what_no_column_holds():
    assert READER.defaults() == [f"args.{name}" for name in SCOPE.arguments]
    whole = Reader(Scope(SCOPE.point, SCOPE.machine, {"s": operand(THING, 0)}))
    assert whole.defaults() == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no expression"),
        ("n +", "no expression"),
        ("x", "no 'x'"),
        ("nn", "Similar: n"),
        ("real", "floating-point"),
        ("arg3", "floating-point"),
        ("n.x", "no member"),
        ("p.inn", "Similar: in"),
        ("n[0]", "no elements"),
        ("p.text[8]", "outside"),
        ("p[n]", "no constant"),
        ("str(n)", "no text"),
        ("str(path, 1000)", "2 to 512"),
        ("i33(n)", "no cast"),
        ("n()", "no cast"),
        ("n * 2", "nothing that a probe can read"),
        ("lambda: n", "nothing that a probe can read"),
        ("p", None),
        ("p.in[0]", "Take a member"),
        ("__import__('os')", "no cast"),
        ("((((((" * 50, "no expression"),
    ],
)
def test_other_fields(text, words):
    if words is None:
        assert READER.field(text).read == NUMBER
        return
    with pytest.raises(ParameterError) as caught:
        READER.field(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n", "no comparison"),
        ("n == 1 or n == 2", "`or`"),
        ("not n == 1", "no comparison"),
        ("1 < n < 3", "no comparison"),
        ("n in (1, 2)", "no comparison"),
        ("n == 'x'", "two kinds"),
        ("path == 1", "two kinds"),
        ("path < 'x'", "== and !="),
        ("path == '" + "x" * 64 + "'", "never hold"),
        ("n == 2**31", "no constant"),
        ("n == 2147483648", "never true"),
        ("u8(n) == -1", "never true"),
        ("n == p", "no constant"),
        ("n == 1.5", "no constant"),
    ],
)
def test_other_filters(text, words):
    with pytest.raises(ParameterError) as caught:
        READER.filter(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["count", "sum", "sum()", "sum(n, n)", "mode(n)", "sum(path)"])
def test_other_metrics(text):
    with pytest.raises(ParameterError):
        READER.metric(text)


@given(st.text(alphabet="np.[]()+-=<>&'x10 and_strcommi32arg", max_size=40))
def test_any_text(text):
    for read in (READER.field, READER.filter, READER.metric, BARE.field):
        try:
            read(text)
        except ParameterError:
            pass
