"""doctor: what it says is what was checked."""

import json

import pytest

from workbench import diagnosis
from workbench.probe.support import Check

GOOD = Check("BTF", True, "/sys/kernel/btf/vmlinux", "not shown")
BAD = Check("privileges", False, "uid <7>", "Run as <root>.")
NOTE = Check("tracefs", False, "not mounted", "Mount it.", required=False)


@pytest.fixture
def doctor(monkeypatch):
    def make(*checks):
        monkeypatch.setattr(diagnosis.support, "checks", lambda: list(checks))
        return diagnosis.doctor()

    return make


def test_all_is_well(doctor):
    found = doctor(GOOD, NOTE)
    assert found.ok
    assert found.summary == "Captures can run here."
    text = repr(found)
    assert "ok    BTF      /sys/kernel/btf/vmlinux" in text
    assert "note  tracefs  not mounted" in text
    assert "→ Mount it." in text
    assert "not shown" not in text + found._repr_html_()


def test_what_is_missing_is_named_with_the_way_out(doctor):
    found = doctor(GOOD, BAD, NOTE)
    assert not found.ok
    assert "privileges" in found.summary
    assert "tracefs" not in found.summary
    assert "Recorded sessions open all the same" in found.summary
    assert "MISS  privileges  uid <7>" in repr(found)
    assert "→ Run as <root>." in repr(found)


def test_html_is_escaped(doctor):
    html = doctor(BAD, NOTE)._repr_html_()
    assert "uid &lt;7&gt;" in html
    assert "Run as &lt;root&gt;." in html
    assert "<7>" not in html
    assert html.count("<tr>") == 2


def test_json_holds_everything(doctor):
    found = doctor(GOOD, BAD)
    data = json.loads(json.dumps(found.to_dict()))
    assert data["ok"] is False
    assert [c["name"] for c in data["checks"]] == ["BTF", "privileges"]
    assert data["checks"][1]["advice"] == "Run as <root>."


def test_this_machine_gives_some_answer():
    found = diagnosis.doctor()
    names = [check.name for check in found.checks]
    assert {"system", "privileges", "BTF", "libbpf", "BPF objects"} <= set(names)
    assert len(set(names)) == len(names)
    assert all(check.advice for check in found.checks if not check.ok)
