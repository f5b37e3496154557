"""The settings of the kind http."""

import pytest

from workbench.errors import ParameterError
from workbench.kinds import find

HTTP = find("http")


def test_queries_are_left_out_unless_asked_for():
    made = HTTP.settings(HTTP.check({}), "aarch64")
    assert (made["http_port"], made["with_query"], made["aggregate"]) == (0, 0, 0)
    made = HTTP.settings(HTTP.check({"http_port": 80, "with_query": True}), "x86_64")
    assert (made["http_port"], made["with_query"]) == (80, 1)
    assert sum(map(bool, made["wb_socket_calls"])) == 11


def test_counts_have_a_table_of_their_own():
    given = HTTP.check({"aggregate": True})
    assert HTTP.settings(given, "x86_64")["aggregate"] == 1
    assert HTTP.table(given) == "http_agg"


@pytest.mark.parametrize("port", [-1, 65536, "80", None])
def test_ports_that_do_not_exist(port):
    with pytest.raises(ParameterError, match="http_port"):
        HTTP.check({"http_port": port})
