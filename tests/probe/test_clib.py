"""libbpf: its absence, its errors and what it prints."""

import ctypes
import errno

import pytest

from workbench.errors import NotPermittedError, UnsupportedKernelError
from workbench.probe import clib, privileges
from workbench.probe.clib import errno_text, last_errno, lib, log_capture, not_permitted


def test_without_libbpf(monkeypatch):
    def missing(name, **_options):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(clib.c, "CDLL", missing)
    with pytest.raises(UnsupportedKernelError, match=r"libbpf 1\.x") as caught:
        lib.__wrapped__()
    assert "libbpf.so.1" in caught.value.why
    assert "apt-get install" in caught.value.advice


def test_every_prototype_is_a_function_of_it():
    for name, (result, *arguments) in clib._PROTOTYPES.items():
        function = getattr(lib(), name)
        assert (function.restype, list(function.argtypes)) == (result, arguments)
    assert lib() is lib()


def test_errors_have_name_and_text():
    assert errno_text(errno.EPERM) == "EPERM (Operation not permitted)"
    assert errno_text(4003).startswith("4003")


def test_not_permitted_says_what_is_needed(monkeypatch):
    monkeypatch.setattr(privileges, "may_load", lambda: False)
    error = not_permitted("It cannot be.", errno.EPERM)
    assert type(error) is NotPermittedError
    assert error.what == "It cannot be."
    assert "EPERM" in error.why
    assert "CAP_BPF" in error.advice


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("none integrity [confidentiality]\n", "boot with lockdown=integrity"),
        ("[none] integrity confidentiality\n", "security module"),
    ],
)
def test_capabilities_do_not_help_under_lockdown(monkeypatch, tmp_path, text, said):
    (tmp_path / "lockdown").write_text(text)
    real = privileges.lockdown
    monkeypatch.setattr(privileges, "lockdown", lambda: real(tmp_path / "lockdown"))
    monkeypatch.setattr(privileges, "may_load", lambda: True)
    error = not_permitted("It cannot be.", errno.EPERM)
    assert "has the capabilities" in error.why
    assert said in error.advice
    assert "CAP_BPF" not in error.advice


def fail():
    """Make libbpf complain."""
    assert not lib().bpf_object__open_file(b"/no/such/file", None)
    return last_errno()


def test_what_libbpf_prints_is_kept_and_not_shown(capfd):
    with log_capture() as log:
        assert fail() == errno.ENOENT
    assert "/no/such/file" in "".join(log)
    fail()  # outside: nobody wants it
    assert capfd.readouterr() == ("", "")


def test_captures_nest():
    with log_capture() as outer:
        with log_capture() as inner:
            fail()
        assert outer == []
        count = len(inner)
        fail()
    assert len(inner) == count > 0
    assert outer


def test_debug_messages_and_floods_are_left_out(monkeypatch):
    with log_capture() as log:
        assert clib._printer(2, b"debug\n", None) == 0
        assert log == []
        monkeypatch.setattr(clib, "MAX_LOG", 1)
        for _ in range(3):
            fail()
    assert len(log) == 1


def test_errno_is_that_of_the_last_call():
    ctypes.set_errno(0)
    fail()
    assert last_errno() == errno.ENOENT
    assert clib.libc() is clib.libc()
