"""What is said about a user and the lockdown, from made-up files."""

import pytest

from workbench.probe import privileges
from workbench.probe.privileges import CAPABILITIES


def status(tmp_path, *names):
    path = tmp_path / "status"
    mask = sum(1 << CAPABILITIES[name] for name in names)
    path.write_text(f"Name:\tx\nCapEff:\t{mask:016x}\nCapBnd:\t0\n")
    return str(path)


@pytest.mark.parametrize(
    "names", [(), ("CAP_BPF",), ("CAP_BPF", "CAP_PERFMON"), tuple(CAPABILITIES)]
)
def test_effective_capabilities(tmp_path, names):
    assert privileges.effective_capabilities(status(tmp_path, *names)) == set(names)


def test_a_status_without_capabilities(tmp_path):
    (tmp_path / "status").write_text("Name:\tx\n")
    assert privileges.effective_capabilities(str(tmp_path / "status")) == set()


@pytest.mark.parametrize(
    ("have", "may"),
    [
        (set(), False),
        ({"CAP_BPF"}, False),
        ({"CAP_PERFMON"}, False),
        ({"CAP_BPF", "CAP_PERFMON"}, True),
        ({"CAP_SYS_ADMIN"}, True),
        ({"CAP_SYS_PTRACE"}, False),
    ],
)
def test_who_may_load(monkeypatch, have, may):
    monkeypatch.setattr(privileges, "effective_capabilities", lambda: have)
    assert privileges.may_load() is may


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("[none] integrity confidentiality\n", "none"),
        ("none [integrity] x\n", "integrity"),
        ("", ""),
    ],
)
def test_lockdown(tmp_path, text, mode):
    (tmp_path / "lockdown").write_text(text)
    assert privileges.lockdown(tmp_path / "lockdown") == mode
    assert privileges.lockdown(tmp_path / "none") == ""


@pytest.mark.parametrize("words", ["unknown func", "cannot use helper"])
def test_what_the_verifier_says_under_lockdown(monkeypatch, words):
    log = f"0: (85) call bpf_probe_read_kernel#113\n{words} bpf_probe_read_kernel#113\n"
    monkeypatch.setattr(privileges, "lockdown", lambda: "confidentiality")
    assert "lockdown=integrity" in privileges.refusal_advice(log)
    assert privileges.refusal_advice("invalid mem access 'scalar'") == ""
    monkeypatch.setattr(privileges, "lockdown", lambda: "integrity")
    assert privileges.refusal_advice(log) == ""
