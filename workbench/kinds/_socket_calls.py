"""System calls on sockets, as ``bpf/socket_calls.bpf.h`` takes them."""

from __future__ import annotations

from workbench.syscalls_table import LIMIT, number_of

BUFFER, ADDRESSED, VECTOR, MESSAGE, MESSAGES, FILE = range(1, 7)
_RECEIVES = 0x10
_CALLS = {
    "write": BUFFER,
    "sendto": ADDRESSED,
    "writev": VECTOR,
    "sendmsg": MESSAGE,
    "sendmmsg": MESSAGES,
    "sendfile": FILE,
    "read": BUFFER | _RECEIVES,
    "recvfrom": ADDRESSED | _RECEIVES,
    "readv": VECTOR | _RECEIVES,
    "recvmsg": MESSAGE | _RECEIVES,
    "recvmmsg": MESSAGES | _RECEIVES,
}
COST = "about 0.25 µs each system call of any program and 1 µs more for those on sockets"
PROBES = ("tp_btf/sys_enter", "tp_btf/sys_exit")


def socket_calls(machine: str) -> list[int]:
    """Return the form of each system call: 0 for those that are not looked at.

    Parameters
    ----------
    machine : str
        Architecture, as ``platform.machine()`` names it.
    """
    forms = [0] * LIMIT
    numbers = number_of(machine)
    for name, form in _CALLS.items():
        forms[numbers[name]] = form
    return forms
