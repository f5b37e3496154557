"""The settings of the kind sockets, and the calls that it looks at."""

import pytest

from workbench.errors import ParameterError
from workbench.kinds import find
from workbench.syscalls_table import number_of

SOCKETS = find("sockets")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_calls(machine):
    forms = SOCKETS.settings(SOCKETS.check({}), machine)["wb_socket_calls"]
    assert len(forms) == 512
    names = {name: number for name, number in number_of(machine).items() if forms[number]}
    receiving = {name for name, number in names.items() if forms[number] & 0x10}
    assert receiving == {"read", "recvfrom", "readv", "recvmsg", "recvmmsg"}
    assert set(names) - receiving == {
        "write", "sendto", "writev", "sendmsg", "sendmmsg", "sendfile",
    }  # fmt: skip
    assert sum(map(bool, forms)) == 11


def test_protocols():
    made = SOCKETS.settings(SOCKETS.check({"protocols": ["udp", "unix"]}), "x86_64")
    assert (made["by_protocol"], made["protocols"]) == (1, 0b1100)
    assert SOCKETS.settings(SOCKETS.check({}), "x86_64")["by_protocol"] == 0
    with pytest.raises(ParameterError, match="no protocol ipx") as caught:
        SOCKETS.settings(SOCKETS.check({"protocols": "ipx"}), "x86_64")
    assert "udp" in caught.value.why
