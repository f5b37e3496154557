"""The report: sums, texts, errors."""

import pytest

from workbench.errors import RefusedError, UndeliveredError, UnreachableError
from workbench.formats.otlp.sending.report import SendReport, SignalReport


def report(**numbers):
    made = SendReport({"traces": "http://c/v1/traces"}, seconds=1.5)
    part = made.of("traces")
    for name, value in numbers.items():
        setattr(part, name, value)
    return made


def test_parts_add_up():
    part = SignalReport("traces", produced=5, sent=2)
    part.lose(3, "why", unconfirmed=True)
    part.rejections["old"] += 1
    whole = SignalReport("traces", produced=1, sent=1)
    whole.add(part)
    whole.add(part)
    assert (whole.produced, whole.sent, whole.failed, whole.unconfirmed) == (11, 5, 6, 6)
    assert whole.losses == {"why": 6}
    assert whole.rejections == {"old": 2}


def test_all_is_well():
    made = report(produced=10, sent=10, bytes=5000, wire_bytes=1_200_000)
    assert made.ok
    assert made.check() is made
    text = repr(made)
    assert text.startswith("10 of 10 items sent in 1.50 s: all delivered")
    assert "http://c/v1/traces" in text
    assert "1.2" in text
    assert len(text.splitlines()) == 3


def test_everything_that_is_not_well_is_told():
    made = report(produced=30, sent=10, rejected=5, doubled=4)
    part = made.of("traces")
    part.lose(15, "HTTP 400 <bad>", unconfirmed=True)
    part.rejections["too old"] += 5
    part.warnings["slow down"] += 2
    made.cancelled = True
    made.trouble = "busy"
    assert not made.ok
    for text in (repr(made), made._repr_html_().replace("&lt;", "<").replace("&gt;", ">")):
        for part_of_it in (
            "NOT all delivered",
            "lost: 15 spans: HTTP 400 <bad>",
            "rejected by the receiver: 5 spans: too old",
            "the receiver says of traces (2 times): slow down",
            "possibly doubled: 4 spans",
            "possibly received: 15 of the lost spans",
            "cancelled",
            "waiting: busy",
        ):
            assert part_of_it in text
    assert "<bad>" not in made._repr_html_()


def test_losses_are_raised_on_demand():
    made = report(produced=30, sent=10)
    made.of("traces").lose(20, "gone")
    made.error = UnreachableError("No receiver.", why="refused", advice="Start one.")
    with pytest.raises(UndeliveredError, match="20 of 30 items") as caught:
        made.check()
    assert caught.value.why == "20 spans: gone"
    assert caught.value.advice == "Start one."


@pytest.mark.parametrize("kind", [UnreachableError, RefusedError])
def test_when_nothing_came_through_the_cause_is_raised(kind):
    made = report(produced=20)
    made.of("traces").lose(20, "gone")
    made.error = kind("Why not.")
    with pytest.raises(kind):
        made.check()


def test_rejections_are_the_receivers_decision():
    made = report(produced=3, sent=2, rejected=1)
    assert not made.ok
    assert made.check() is made


def test_nothing_sent_is_well():
    assert SendReport().ok
    assert "0 of 0 items" in repr(SendReport())
