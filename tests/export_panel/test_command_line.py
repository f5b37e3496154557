from __future__ import annotations

from workbench.export_panel.command_line import CommandLine


def test_it_holds_a_command_and_its_script():
    made = CommandLine(command="workbench <x>")
    state = made.get_state()
    assert state["command"] == "workbench <x>"
    assert state["why"] == ""
    assert "clipboard" in state["_esm"]
    assert "innerHTML" not in state["_esm"]  # texts of sessions are never parsed as HTML
