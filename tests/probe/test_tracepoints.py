"""What the kernel's BTF says, compared with what bpftool prints of it."""

import re
import subprocess

import pytest

from workbench.probe.tracepoints import argument_count, enum_values, per_cpu_offsets

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def dump():
    command = ["bpftool", "btf", "dump", "file", "/sys/kernel/btf/vmlinux"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", ["sched_switch", "sched_waking", "sys_enter"])
def test_arguments(dump, name):
    pointer = re.search(rf"TYPEDEF 'btf_trace_{name}' type_id=(\d+)", dump)[1]
    function = re.search(rf"^\[{pointer}\] PTR '\(anon\)' type_id=(\d+)", dump, re.M)[1]
    count = re.search(rf"^\[{function}\] FUNC_PROTO .* vlen=(\d+)", dump, re.M)[1]
    assert argument_count(name) == int(count) - 1 > 0


def test_where_variables_are(dump):
    listed = re.findall(r"offset=(\d+) size=\d+ \(VAR '(\w+)'\)", dump)
    names = {"runqueues", "__preempt_count", "pcpu_hot"}
    wanted = {name: int(offset) for offset, name in listed if name in names}
    assert "runqueues" in wanted
    assert per_cpu_offsets(*sorted(names)) == wanted


def test_what_is_not_there():
    assert argument_count("no_such_tracepoint") == 0
    assert per_cpu_offsets("no_such_variable") == {}


def test_enums(dump):
    text = re.search(r"ENUM 'skb_drop_reason'.*\n((?:\t.*\n)+)", dump)[1]
    listed = {name: int(value) for name, value in re.findall(r"'(\w+)' val=(\d+)", text)}
    assert enum_values("skb_drop_reason") == listed
    assert listed["SKB_DROP_REASON_TCP_CSUM"] > 0
    assert enum_values("no_such_enum") == {}
