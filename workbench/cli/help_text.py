"""Help texts that end in a list of the formats."""

from __future__ import annotations

import argparse
import shutil
import textwrap


class HelpWithFormats(argparse.ArgumentParser):
    """A parser whose help ends in the formats.

    They are looked up when the help is asked for: they import numpy, and most commands do without.

    Attributes
    ----------
    formats : tuple of str
        Which: ``"read"``, ``"written"``.
    """

    formats: tuple[str, ...] = ()

    def format_help(self) -> str:
        """Return the help with the formats."""
        parts = [super().format_help(), *(f"{described(each)}\n" for each in self.formats)]
        return "\n".join(parts)


def described(formats: str) -> str:
    """Return the formats that are ``read`` or ``written``, a line each, for a help text."""
    from workbench.formats import readable, writable

    found = readable() if formats == "read" else writable()
    width = max(map(len, found)) + 2
    room = max(shutil.get_terminal_size().columns, 60) - 2
    lines = [f"formats that are {formats}:"]
    for name, each in found.items():
        text = f"{name:<{width}}{each.meaning}"
        lines += textwrap.wrap(text, room, initial_indent="  ", subsequent_indent=" " * (width + 2))
    return "\n".join(lines)
