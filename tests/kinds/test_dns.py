"""The settings of the kind dns."""

import pytest

from workbench.errors import ParameterError
from workbench.kinds import find

DNS = find("dns")


def test_settings():
    made = DNS.settings(DNS.check({}), "aarch64")
    assert made["dns_port"] == 53
    assert DNS.settings(DNS.check({"dns_port": 5353}), "x86_64")["dns_port"] == 5353
    assert sum(map(bool, made["wb_socket_calls"])) == 11


@pytest.mark.parametrize("port", [0, 65536, "53", None])
def test_ports_that_do_not_exist(port):
    with pytest.raises(ParameterError, match="dns_port"):
        DNS.check({"dns_port": port})
