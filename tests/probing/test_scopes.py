"""What can be read where a probe attaches, on this machine."""

from pathlib import Path

import pytest
from programs import compiled

from workbench.ctype import POINTER
from workbench.errors import AttachError
from workbench.probing.points import parse
from workbench.probing.scopes import ABI, BTF, DWARF, FORMAT, scopes

TESTS = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scopes")
    options = ("-O1", "-g", "-pthread", "-include", str(TESTS / "sdt.h"))
    return compiled(folder, "probed", (TESTS / "probed.c").read_text(), "gcc", *options)


def scope(point):
    (found,) = scopes(parse(point), "x86_64")
    return found


def test_functions_of_programs(program):
    found = scope(f"uprobe:{program}:look")
    assert list(found.arguments) == ["o", "colour", "yes"] == list(found.order)
    assert (found.known, found.returned.type.name) == (DWARF, "int")
    assert len(found.sites) == 1
    assert found.name_of("arg1") == "colour"
    assert found.name_of("arg3") == "arg3"
    assert found.position("arg3").chain == (96 - 8,)
    assert scope(f"uprobe:{program}:nothing").no_return == "the function returns nothing"
    assert "floating-point" in scope(f"uprobe:{program}:real").reasons["x"]


def test_places_within_functions(program):
    found = scope(f"uprobe:{program}:look+0x4")
    assert (found.known, found.returned) == ("", None)
    assert "inside" in found.no_return
    assert found.position("arg0").origin == ABI
    start = scope(f"uprobe:{program}:look+0").sites[0].offset
    assert scope(f"uprobe:{program}:{start:#x}").known == DWARF


def test_static_probes(program):
    found = scopes(parse(f"usdt:{program}:work"), "x86_64")
    assert len(found) == 2
    assert [list(each.arguments) for each in found] == [["arg0", "arg1"]] * 2
    assert [each.arguments["arg0"].type.size for each in found] == [8, 8]
    assert [site.variant for site in found[0].sites] == [0, 1]
    assert found[0].position("arg5") is None


@pytest.mark.kernel
def test_tracepoints_and_functions_of_the_kernel():
    found = scope("tracepoint:sched:sched_switch")
    assert (found.known, found.returned) == (FORMAT, None)
    assert {"prev_comm", "next_pid"} <= set(found.arguments)
    found = scope("rawtp:sched_switch")
    assert found.known == BTF
    assert found.arguments[found.order[1]].chain == (8,)
    for kind, chain in (("kprobe", (112,)), ("fentry", (0,)), ("fexit", (0,))):
        found = scope(f"{kind}:vfs_read")
        assert found.arguments["file"].chain == chain
        assert found.arguments["file"].type.kind == POINTER
        assert found.returned.chain == ((80,) if kind == "kprobe" else (32,))
        assert found.returned.type.signed
    assert scope("kprobe:no_such_function").position("arg1").chain == (104,)
    assert scope("perf:cpu-clock").arguments == {}
    with pytest.raises(AttachError, match="sched_swich"):
        scope("rawtp:sched_swich")
