"""Losses and costs as metrics."""

from otlp_sessions import attributes, last_points, messages, synthetic


def test_losses_are_exact(tmp_path):
    rec = synthetic(tmp_path, 1000)
    found = messages(rec, "metrics")
    produced = last_points(found, "workbench.events.produced")
    dropped = last_points(found, "workbench.events.dropped")
    losses = rec.losses
    assert sum(p.as_int for p in produced) == losses["produced"].sum()
    assert sum(p.as_int for p in dropped) == losses["dropped"].sum() > 0
    assert {attributes(p)["workbench.reason"] for p in dropped} == {"ring_full"}
    assert {
        (attributes(p)["workbench.kind"], attributes(p)["cpu.logical_number"]) for p in produced
    } == {(kind, cpu) for kind in ("syscalls", "cpu", "offcpu") for cpu in (0, 1)}


def test_costs(tmp_path):
    rec = synthetic(tmp_path, 1000)
    shares = last_points(messages(rec, "metrics"), "workbench.overhead.cpu")
    assert {attributes(p)["workbench.program"]: p.as_double for p in shares} == {
        row["program"]: row["cpu_share"] for row in rec.overhead.iter_rows(named=True)
    }
