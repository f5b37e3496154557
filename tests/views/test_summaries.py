from __future__ import annotations

import re
from typing import Any

import polars as pl
import pytest
from fake_recording import FakeRecording
from kind_rows import NETWORK, ROWS, frame, recording
from network_rows import counts

from workbench.errors import MissingTableError
from workbench.views import summaries


def test_each_kind_has_its_section():
    found = dict(summaries.sections(recording()))
    assert list(found) == [title for title, _ in summaries.SUMMARIES.values()]
    assert not [title for title, content in found.items() if "<table" not in content]
    text = "".join(found.values())
    for part in (
        *("SIGUSR1", "net_rx", "0xff", "&lt;a&gt;", "\u2003kid", "interrupt", "4 KiB", "7 µs"),
        *("/no/&lt;such&gt;", "ENOENT", "1,234", "192.0.2.7", "unix", "2.93 KiB", "AAAA", "503"),
        *("/&lt;x&gt;", "58.6 KiB"),
    ):
        assert part in text, part
    assert "<a>" not in text
    assert "(first 15 of 30)" in found["Scheduling"]
    assert re.search(r"1\.0\d µs", found["Scheduling"])


@pytest.mark.parametrize("kind", [*ROWS, *NETWORK])
def test_nothing_in_what_was_selected(kind):
    rows = frame(kind, []) if kind in NETWORK else []
    ((_, content),) = summaries.sections(FakeRecording(**{kind: rows}, processes=[]))
    assert "None in what was selected" in content


def test_what_an_older_session_lacks_is_left_out_and_told():
    rows = frame("tcp", NETWORK["tcp"]).drop("dropped")
    ((_, content),) = summaries.sections(FakeRecording(tcp=rows, processes=[]))
    assert "Left out: “Who listens, and what was dropped there”." in content
    assert "Table &#x27;tcp&#x27; lacks the column dropped." in content
    assert "Who talks with whom" in content


def test_counts_of_the_kernel_have_their_tables():
    counted = FakeRecording(
        sched_agg=[{"pid": 1, "tid": 1, "runs": 1234, "latency_hist": [0] * 64}],
        irq_agg=[{"pid": 1, "type": "device", "irq": 3, "handler": "disk", "interrupts": 1,
                  "duration_hist": [1] + [0] * 63}],
    )  # fmt: skip
    found = dict(summaries.sections(counted))
    assert list(found) == ["Scheduling", "Interrupts"]
    assert "1,234" in found["Scheduling"]
    assert "disk" in found["Interrupts"]
    assert summaries.sections(FakeRecording()) == []


def test_counts_of_sockets_and_connections():
    rows = {
        "sockets_agg": [{"inode": 9, "sends": 2, "bytes_sent": 2048, "protocol": "tcp"}],
        "tcp_agg": [{"role": "client", "connections": 12, "bytes_sent": 10}],
    }
    made = FakeRecording(**{f: counts(f.removesuffix("_agg"), r) for f, r in rows.items()})
    found = dict(summaries.sections(made))
    assert list(found) == ["TCP connections", "Sockets"]
    assert "2 KiB" in found["Sockets"]
    assert ">12<" in found["TCP connections"]


def probe(**parameters: Any) -> dict[str, Any]:
    return {"probe": "uprobe:libc:malloc", "filter": "arg0 > 9", "aggregate": []} | parameters


def test_own_probes_say_what_they_are_and_saw():
    frame = pl.DataFrame({"ts": [1, 2], "comm": ["<a>", "b"], "size": [4096, None]})
    given = {"kinds": {"big": probe(aggregate=["sum(size)"], by=["comm"]), "each": probe()}}
    seen = FakeRecording(given, each=frame, big=frame.with_columns(ts=pl.lit(7)))
    found = dict(summaries.sections(seen))
    assert list(found) == ["Probe: each", "Probe: big"]
    assert "uprobe:libc:malloc, where arg0 &gt; 9, sum(size), by comm" in found["Probe: big"]
    assert "4,096" in found["Probe: each"]
    assert "&lt;a&gt;" in found["Probe: each"]
    assert found["Probe: big"].count("--share: 100.0%") == 1


def test_losses_are_above_the_tables():
    loss = {"kind": "big", "produced": 9, "delivered": 8, "dropped": {"map_full": 1}}
    given = {"kinds": {"big": probe()}, "losses": [loss]}
    view = summaries.KindOverview(FakeRecording(given, big=pl.DataFrame({"ts": [1]})), "big")
    assert "1 of 9 events of big were lost" in view.fragment()
    assert "wb-flame-title" in view.fragment()
    assert repr(view) == "<KindOverview of big: 1 in 'Events: 1, first ones first'>"


def test_kind_that_is_not_there():
    with pytest.raises(MissingTableError, match="nothing of 'locks'"):
        summaries.KindOverview(FakeRecording(**{"sched": []}), "locks")
