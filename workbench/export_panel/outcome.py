"""What became of an export, as HTML: files to download, reports, errors."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from workbench.errors import CancelledError, SendError, WorkbenchError
from workbench.views.html import escape

if TYPE_CHECKING:
    from workbench.formats.otlp.sending.connection import ConnectionReport
    from workbench.formats.otlp.sending.report import SendReport

SMALL = 1 << 20
"""Bytes of a file that goes into the page itself. Servers of notebooks limit messages to it."""


def shown(result: Any, seconds: float) -> str:
    """Return what there is to say of a result, whatever it is.

    Parameters
    ----------
    result : BaseException, Path, SendReport or ConnectionReport
    seconds : float
        How long it took.

    Raises
    ------
    OSError
        The file is not there any more.
    """
    if isinstance(result, BaseException):
        return failure(result)
    if isinstance(result, Path):
        return written(result, seconds)
    return tested(result) if hasattr(result, "answers") else sent(result)


def failure(error: BaseException) -> str:
    """Return an error with what, why and what next."""
    if isinstance(error, CancelledError):
        return _box("<p>Cancelled. Nothing was left behind.</p>")
    if not isinstance(error, WorkbenchError):
        error = WorkbenchError("The export failed.", why=f"{type(error).__name__}: {error}")
    what = f'<p class="wb-export-what">{_lines(error.what)}</p>'
    return _box(f'<div class="wb-export-bad" role="alert">{what}{_rest(error)}</div>')


def written(path: Path, seconds: float) -> str:
    """Return where a file is, how large it is, and a link that holds it where it is small."""
    size = path.stat().st_size
    text = f"<p>Wrote <b>{escape(path)}</b>, {size:,} bytes, in {seconds:.1f} s.</p>"
    if size <= SMALL:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        link = f"data:application/octet-stream;base64,{data}"
        text += f"<p>{_anchor(link, path.name)}</p>"
    elif not served(path):
        text += "<p>It is on the machine on which this notebook's kernel runs.</p>"
    return _box(text, "status")


def empty(text: str) -> str:
    """Return a warning that a file holds nothing; ``""`` for ``""``."""
    return _box(f'<p class="wb-export-empty" role="alert">{escape(text)}</p>') if text else ""


def served(path: Path) -> str:
    """Return a link to a large file below the notebook's folder, ``""`` for others.

    It has to be the output of a cell: there JupyterLab makes addresses of the server of it.
    """
    if path.stat().st_size <= SMALL:
        return ""
    try:
        below = path.resolve().relative_to(Path.cwd())
    except ValueError:
        return ""
    return _anchor(quote(below.as_posix()), path.name)


def sent(report: SendReport) -> str:
    """Return what was sent; what was not comes with why and what next."""
    try:
        report.check()
    except SendError as error:
        text = failure(error)
    else:
        text = ""
    return text + _box(f'<div class="wb-export-scroll">{report._repr_html_()}</div>', "status")


def tested(report: ConnectionReport) -> str:
    """Return what a receiver answered, signal by signal."""
    lines = []
    for answer in report.answers:
        if answer.error is None:
            lines.append(f"✓ {escape(answer)}")
            continue
        what = f"✗ {answer.signal}: {answer.error.what}"
        lines.append(f'<span class="wb-export-what">{_lines(what)}</span>{_rest(answer.error)}')
    items = "".join(f"<li>{line}</li>" for line in lines)
    return _box(f'<ul class="wb-export-answers">{items}</ul>', "status")


def _anchor(address: str, name: str) -> str:
    return f'<a href="{escape(address)}" download="{escape(name)}">Download {escape(name)}</a>'


def _box(inner: str, role: str = "") -> str:
    said = f' role="{role}"' if role else ""
    return f'<div class="wb wb-export-outcome"{said}>{inner}</div>'


def _rest(error: WorkbenchError) -> str:
    """Return why, and what next."""
    why = f"<p>Why: {_lines(error.why)}</p>" if error.why else ""
    return why + (f"<p>Next: {_lines(error.advice)}</p>" if error.advice else "")


def _lines(text: str) -> str:
    return "<br>".join(map(escape, text.splitlines()))


def shown_path(path: Path) -> str:
    """Return a path as people write it here: below the current folder without that."""
    full = Path(os.path.abspath(path))  # noqa: PTH100  links stay as they are
    try:
        return str(full.relative_to(Path.cwd()))
    except ValueError:
        return str(full)
