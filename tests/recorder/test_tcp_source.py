"""The reasons of the kind tcp, and which of its programs a kernel gets."""

from types import SimpleNamespace

import pytest

from workbench.network_names import REASONS
from workbench.recorder import tcp_source
from workbench.recorder.source import Source
from workbench.recorder.tcp_source import TcpSource, reasons


def test_reasons_of_a_kernel(monkeypatch):
    enums = {
        "sk_rst_reason": {"SK_RST_REASON_NOT_SPECIFIED": 0, "SK_RST_REASON_TCP_STATE": 14},
        "skb_drop_reason": {
            "SKB_CONSUMED": 1,
            "SKB_DROP_REASON_TCP_FLAGS": 30,
            "SKB_DROP_REASON_SUBSYS_MASK": 0xFFFF0000,
        },
    }
    monkeypatch.setattr(tcp_source, "enum_values", enums.__getitem__)
    texts = reasons()
    assert texts[: len(REASONS) - 1] == REASONS[:-1]
    assert (texts[0x100], texts[0x10E]) == ("not_specified", "tcp_state")
    assert (texts[0x201], texts[0x21E]) == ("consumed", "tcp_flags")
    assert texts[-1] == texts[0x2FF] == texts[9] == "other"


@pytest.mark.kernel
def test_reasons_of_this_kernel():
    texts = reasons()
    assert {"syn", "timeout", "tcp_csum", "socket_rcvbuff", "other"} <= set(texts)


ALL = ("reset_sent_with_reason", "reset_sent", "dropped_for", "dropped", "sent", "received")
NEW = {"tcp_send_reset": 3, "kfree_skb": 4, "sock_send_length": 3, "sock_recv_length": 3}
OLD = {"tcp_send_reset": 2, "kfree_skb": 3}


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        (NEW, {"reset_sent_with_reason", "dropped_for", "sent", "received"}),
        (OLD, {"reset_sent", "dropped"}),
        ({}, set()),
    ],
)
def test_programs_are_those_that_the_kernel_can_run(monkeypatch, counts, kept):
    monkeypatch.setattr(tcp_source, "argument_count", lambda name: counts.get(name, 0))
    monkeypatch.setattr(Source, "_set_up", lambda *_: None)
    left = []
    programs = {
        name: SimpleNamespace(section="", leave_out=lambda name=name: left.append(name))
        for name in (*ALL, "congestion_changed", "state_changed")
    }
    source = object.__new__(TcpSource)
    source._optional = source._left_out = ()
    source.object = SimpleNamespace(programs=programs)
    source._set_up(None, {}, 0)
    assert set(programs) == kept | {"state_changed"}
    assert not set(left) & kept
