"""What stands for the panel on pages without a kernel: what it is, and the same as a command."""

from __future__ import annotations

from pathlib import Path

from workbench.views.html import escape

KEY = "data-wb-panel"
"""Attribute that tells which panel it stands for: a panel that is alive hides it."""


def fragment(session: str, command: str, why: str, key: str) -> str:
    """Return it as HTML that says the same where styles are taken away, as on GitHub.

    Parameters
    ----------
    session : str
        Its name.
    command : str
        The command line, ``""`` where there is none.
    why : str
        Why there is none.
    key : str
        Number of the panel's model.
    """
    about = "The export panel appears here when this notebook runs."
    lead, same = "In a terminal, this does the same:", f"<pre><code>{escape(command)}</code></pre>"
    if not command:
        lead = "No command line does the same:"
        same = f"<p>{escape(' '.join(why.splitlines()))}</p>"
    css = Path(__file__).with_name("static.css").read_text(encoding="utf-8")
    return (
        f'<style>{css}</style><div class="wb-export-static" {KEY}="{escape(key)}">'
        f"<p><b>Export {escape(session)}</b></p><p>{about} {lead}</p>{same}</div>"
    )


def plain(session: str, command: str, why: str) -> str:
    """Return it as text, for consoles."""
    return f"Export {session}: {command or why}"
