"""`wb.doctor`: what can be captured here, and what is missing."""

from __future__ import annotations

from html import escape
from typing import Any

from workbench.probe import support


class Doctor:
    """The results of all checks; prints as a table.

    Attributes
    ----------
    checks : list of workbench.probe.support.Check
    ok : bool
        Whether captures can run.
    """

    def __init__(self) -> None:
        self.checks = support.checks()
        self.ok = all(check.ok for check in self.checks if check.required)

    @property
    def summary(self) -> str:
        """One sentence."""
        if self.ok:
            return "Captures can run here."
        missing = [c.name for c in self.checks if c.required and not c.ok]
        return (
            f"No capture can run here: {', '.join(missing)}. Recorded sessions open all the same."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {"ok": self.ok, "summary": self.summary, "checks": [c.__dict__ for c in self.checks]}

    def __repr__(self) -> str:
        width = max(len(check.name) for check in self.checks)
        lines = [self.summary, ""]
        for check in self.checks:
            mark = "ok  " if check.ok else "MISS" if check.required else "note"
            lines.append(f"{mark}  {check.name:<{width}}  {check.found}".rstrip())
            if not check.ok:
                lines.append(f"      {'':<{width}}  → {check.advice}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = []
        for check in self.checks:
            mark = "✓" if check.ok else "✗" if check.required else "–"
            advice = "" if check.ok else escape(check.advice)
            cells = (mark, escape(check.name), escape(check.found), advice)
            rows.append(
                "<tr>" + "".join(f"<td style='text-align:left'>{c}</td>" for c in cells) + "</tr>"
            )
        return f"<b>{escape(self.summary)}</b><table>{''.join(rows)}</table>"


def doctor() -> Doctor:
    """Check what this kernel, user and package can do, and how to mend what is missing.

    Harmless: loads tiny programs and maps that are gone when it returns.
    """
    return Doctor()
