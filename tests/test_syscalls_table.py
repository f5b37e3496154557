import ctypes
import os
import re
import subprocess
from pathlib import Path

import pytest

from workbench import syscalls_table
from workbench.errors import UnsupportedKernelError
from workbench.syscalls_table import MACHINES, arguments_of, name_of, number_of

TRACED = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
for number in map(int, sys.argv[1:]):
    libc.syscall(number, *[ctypes.c_long(-1)] * 6)
"""


@pytest.mark.parametrize("machine", MACHINES)
def test_tables_have_512_entries_that_agree(machine):
    names, numbers, arguments = name_of(machine), number_of(machine), arguments_of(machine)
    assert len(names) == len(arguments) == 512
    assert len(set(names)) == 512
    for number, name in enumerate(names):
        assert numbers.get(name, None) == (None if name == f"syscall_{number}" else number)
    assert all(len(names) <= 6 for names in arguments)
    assert list(numbers.values()) == sorted(numbers.values())


def test_known_calls():
    x86, arm = number_of("x86_64"), number_of("aarch64")
    assert (x86["read"], x86["openat"], x86["futex"], x86["stat"]) == (0, 257, 202, 4)
    assert (arm["read"], arm["openat"], arm["futex"]) == (63, 56, 98)
    assert "stat" not in arm
    assert x86["file_setattr"] == arm["file_setattr"] == 469
    assert name_of("x86_64")[400] == "syscall_400"


def test_arguments_are_in_register_order():
    x86, arm = arguments_of("x86_64"), arguments_of("aarch64")
    assert x86[0] == ("fd", "buf", "count")
    assert x86[39] == ()
    assert x86[400] == ("arg0", "arg1", "arg2", "arg3", "arg4", "arg5")
    assert x86[56][3:] == ("child_tidptr", "tls")
    assert arm[220][3:] == ("tls", "child_tidptr")
    assert arm[63] == x86[0]


def test_lists_belong_to_the_caller():
    name_of("x86_64")[0] = "changed"
    assert name_of("x86_64")[0] == "read"


@pytest.mark.parametrize("machine", ["riscv64", "", "x86-64"])
@pytest.mark.parametrize("function", [name_of, number_of, arguments_of])
def test_another_machine_is_an_error_with_advice(machine, function):
    with pytest.raises(UnsupportedKernelError) as caught:
        function(machine)
    assert caught.value.advice


def test_x86_numbers_are_those_of_the_c_library():
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("linux-libc-dev for x86-64 is not installed")
    found = dict(re.findall(r"#define __NR_(\w+) (\d+)", header.read_text()))
    ours = number_of("x86_64")
    assert {name: ours.get(name) for name in found} == {name: int(n) for name, n in found.items()}


def strace(script: str, *arguments: object, inject: str = "") -> dict[int, str]:
    """Return number -> name of the calls that strace saw a Python script make."""
    filters = ["-e", f"inject={inject}:error=ENOSYS"] if inject else []
    command = ["strace", "-n", "-o", "/dev/stdout", *filters, "python3", "-c", script]
    command += map(str, arguments)
    trace = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return {int(n): name for n, name in re.findall(r"^\[ *(\d+)\] (\w+)\(", trace, re.MULTILINE)}


def test_strace_names_the_same_calls():
    if os.uname().machine != "x86_64" or not Path("/usr/bin/strace").exists():
        pytest.skip("needs strace on x86-64")
    ours = name_of("x86_64")
    own = strace(TRACED)
    assert {n: ours[n] for n in own} == own
    # strace skips the calls that it injects an error into, so even reboot(2) does nothing here.
    others = {n: name for name, n in number_of("x86_64").items() if n not in own and n <= 450}
    # The headers of uretprobe and uprobe are newer than this strace.
    others = {n: name for n, name in others.items() if n not in (335, 336)}
    named = strace(TRACED, *others, inject=",".join(f"/^{name}$" for name in others.values()))
    assert {n: name for n, name in named.items() if n in others} == others


@pytest.mark.parametrize("name", ["getpid", "gettid", "getuid", "getppid", "cachestat"])
def test_numbers_call_what_they_name(name):
    if os.uname().machine not in MACHINES:
        pytest.skip("no table for this machine")
    libc = ctypes.CDLL(None, use_errno=True)
    number = number_of(os.uname().machine)[name]
    result = libc.syscall(number, -1, 0, 0, 0)
    if name == "cachestat":
        assert result == -1
        assert os.strerror(ctypes.get_errno()) in {os.strerror(9), os.strerror(14), os.strerror(38)}
    elif name == "gettid":
        assert result == __import__("threading").get_native_id()
    else:
        assert result == getattr(os, name)()


def test_data_file_says_how_it_was_made():
    text = syscalls_table._PATH.read_text()
    assert "make_syscalls.py" in text.splitlines()[1]
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    assert {len(row) for row in rows} == {4}
