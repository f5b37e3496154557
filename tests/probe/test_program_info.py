"""Counters of programs, from their fdinfo."""

from pathlib import Path

from workbench.probe import program_info as module
from workbench.probe.program_info import missed_runs, program_info


def test_counters_of_what_is_no_program(tmp_path):
    with (tmp_path / "x").open("w") as file:
        counters = program_info(file.fileno())
        assert missed_runs(file.fileno()) == 0
    assert counters["pos"] == 0
    assert "run_cnt" not in counters


def test_counters_of_a_program(monkeypatch):
    # As Linux 6.18 writes it for a program (kernel/bpf/syscall.c, bpf_prog_show_fdinfo).
    text = "pos:\t0\nprog_tag:\t5a8b\nrun_cnt:\t12\nrecursion_misses:\t3\nverified_insns:\t9\n"
    monkeypatch.setattr(Path, "read_text", lambda path: text if path.name == "7" else "")
    assert program_info(7)["run_cnt"] == 12
    assert "prog_tag" not in program_info(7)
    assert (module.missed_runs(7), module.missed_runs(8)) == (3, 0)
