"""Names of codes: those of the C enums, in their order."""

import pytest
from network_rows import enum_of

from workbench import network_names as names
from workbench.event_texts import NAMES, TEXTS
from workbench.schema import TYPEDEFS


@pytest.mark.parametrize(
    ("kind", "enum", "prefix", "texts", "more"),
    [
        ("tcp", "wb_family", "WB_FAMILY_", names.FAMILIES, 0),
        ("tcp", "wb_tcp_event", "WB_TCP_", names.TCP_EVENTS, 0),
        ("tcp", "wb_role", "WB_ROLE_", names.ROLES, 0),
        ("tcp", "wb_reason", "WB_REASON_", names.REASONS, 1),
        ("sockets", "wb_direction", "WB_", names.DIRECTIONS, 1),
        ("sockets", "wb_protocol", "WB_PROTOCOL_", names.PROTOCOLS, 0),
        ("http", "wb_http_message", "WB_HTTP_", names.HTTP_MESSAGES, 1),
        ("http", "wb_http_method", "WB_METHOD_", tuple(map(str.lower, names.HTTP_METHODS)), 1),
        ("dns", "wb_dns_message", "WB_DNS_", names.DNS_MESSAGES, 1),
        ("tcp", "wb_tcp_state", "TCP_", names.TCP_STATES, 1),
    ],
)
def test_texts_are_those_of_the_program(kind, enum, prefix, texts, more):
    found = enum_of(kind, enum, prefix)
    first = {code: text.removeprefix("wb_state_") for code, text in found.items() if code < 256}
    assert first == dict(enumerate(texts[: len(texts) - more]))


def test_each_typedef_has_a_meaning():
    assert set(names.TEXTS) | set(names.NAMES) <= set(TYPEDEFS)
    assert names.TEXTS.items() <= TEXTS.items()
    assert names.NAMES.items() <= NAMES.items()
    for typedef, texts in (names.TEXTS | names.NAMES).items():
        assert len(set(texts)) == len(texts)
        assert len(texts) < 128 or TYPEDEFS[typedef].arrow == "string"
