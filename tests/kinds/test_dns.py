"""The settings of the kind dns."""

import re
from pathlib import Path

import pytest

from workbench.errors import ParameterError
from workbench.kinds import find
from workbench.network_names import DNS_TYPES

DNS = find("dns")


def test_settings():
    made = DNS.settings(DNS.check({}), "aarch64")
    assert made["dns_port"] == 53
    assert DNS.settings(DNS.check({"dns_port": 5353}), "x86_64")["dns_port"] == 5353
    assert sum(map(bool, made["wb_socket_calls"])) == 11


def test_counts_have_a_table_of_their_own():
    given = DNS.check({"aggregate": True})
    assert DNS.settings(given, "x86_64")["aggregate"] == 1
    assert DNS.settings(DNS.check({}), "x86_64")["aggregate"] == 0
    assert DNS.table(given) == "dns_agg"


def test_types_without_a_name_are_one_key():
    """Or two keys of the map would become one row of the table, and one of them be lost."""
    text = (Path(__file__).parents[2] / "bpf" / "dns.bpf.c").read_text()
    assert int(re.search(r"#define OTHER_TYPE (\d+)", text)[1]) == len(DNS_TYPES) - 1
    assert len(set(DNS_TYPES)) == len(DNS_TYPES)


@pytest.mark.parametrize("port", [0, 65536, "53", None])
def test_ports_that_do_not_exist(port):
    with pytest.raises(ParameterError, match="dns_port"):
        DNS.check({"dns_port": port})
