"""Types of the running kernel, compared with what bpftool says of it."""

import json
import subprocess

import pytest

from workbench.ctype import ARRAY, INT, POINTER, STRUCT
from workbench.probe.kernel_types import kernel_types

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def told():
    """All types of the kernel as bpftool has them, by id."""
    command = ["bpftool", "-j", "btf", "dump", "file", "/sys/kernel/btf/vmlinux"]
    done = subprocess.run(command, check=True, capture_output=True)
    return {entry["id"]: entry for entry in json.loads(done.stdout)["types"]}


def test_parameters_of_functions(told):
    by_name = {e["name"]: e for e in told.values() if e["kind"] == "FUNC"}
    for name in ("vfs_read", "tcp_sendmsg", "schedule", "kfree_skb_list_reason"):
        if name not in by_name:
            continue
        wanted = told[by_name[name]["type_id"]]["params"]
        found = kernel_types().function(name)
        assert [n for n, _ in found.parameters] == [p["name"] for p in wanted]
    read = dict(kernel_types().function("vfs_read").parameters)
    assert read["file"].kind == POINTER
    assert read["file"].target().name == "file"
    assert (read["count"].kind, read["count"].size, read["count"].signed) == (INT, 8, False)
    assert kernel_types().function("no_such_function") is None


def test_arguments_of_tracepoints():
    found = kernel_types().tracepoint("sched_switch")
    kinds = [kind for _, kind in found.parameters]
    assert [kind.size for kind in kinds][:3] == [1, 8, 8]
    assert kinds[1].target().name == "task_struct"
    assert dict(found.parameters).keys() >= {"prev", "next"} or len(kinds) >= 3
    assert kernel_types().tracepoint("sched_swich") is None


def test_members_of_structs(told):
    entry = next(e for e in told.values() if e["kind"] == "STRUCT" and e["name"] == "task_struct")
    wanted = {m["name"]: m["bits_offset"] for m in entry["members"] if m["name"] != "(anon)"}
    task = kernel_types().struct("task_struct")
    members = task.members()
    assert task.size == entry["size"]
    assert {name: members[name].bit_offset for name in wanted} == wanted
    comm = members["comm"].type()
    assert (comm.kind, comm.count, comm.target().char) == (ARRAY, 16, True)
    assert members["real_parent"].type().target().kind == STRUCT
    fields = [m for m in entry["members"] if m.get("bitfield_size")]
    assert {members[m["name"]].bits for m in fields if m["name"] in members} >= {1}


def test_members_of_anonymous_members():
    members = kernel_types().struct("sk_buff").members()
    assert members["next"].bit_offset == 0  # in a struct in a union
    assert members["len"].type().size == 4
