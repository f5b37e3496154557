"""Run a notebook and write it as HTML, both as files that need no network."""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path

from workbench.errors import ExportError

TIMEOUT_S = 120
"""Longest time that one cell may take, in seconds."""

ANSI = re.compile(r"\x1b\[[0-9;]*m")
# nbconvert's template loads require.js and MathJax from a CDN. No view of ours needs them.
REMOTE = re.compile(r"<script[^>]*\bsrc=[\"'](?:https?:)?//[^>]*>\s*</script>")
REMOTE_MODULE = re.compile(r"<script[^>]*>(?:(?!</script>).)*?https?://cdn.*?</script>", re.DOTALL)


def execute(notebook: Path, output: Path) -> Path:
    """Run all cells with this Python; write the notebook with its outputs.

    Parameters
    ----------
    notebook : Path
        Notebook to run; it is not changed.
    output : Path
        Where the executed one goes; its directory is the working directory of the cells.

    Returns
    -------
    Path
        `output`.

    Raises
    ------
    ExportError
        The packages for notebooks are missing, or a cell failed; the notebook up to there is
        written.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError
    except ImportError as error:
        raise _missing(error) from error
    content = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        content,
        timeout=TIMEOUT_S,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(output.parent)}},
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            client.execute()
    except (CellExecutionError, CellTimeoutError) as error:
        raise ExportError(
            f"A cell of {notebook.name} failed.",
            why=ANSI.sub("", str(error)).strip().splitlines()[-1],
            advice=f"See {output}.",
        ) from error
    finally:
        nbformat.write(content, output)
    return output


def to_html(notebook: Path, output: Path) -> Path:
    """Write a notebook with its outputs as one HTML file that needs no network.

    Raises
    ------
    ExportError
        The packages for notebooks are missing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from nbconvert import HTMLExporter
    except ImportError as error:
        raise _missing(error) from error
    body, _resources = HTMLExporter().from_filename(str(notebook))
    output.write_text(without_remote_scripts(body))
    return output


def without_remote_scripts(html: str) -> str:
    """Return the page without the scripts that nbconvert's template takes from a CDN."""
    return REMOTE_MODULE.sub("", REMOTE.sub("", html))


def _missing(error: ImportError) -> ExportError:
    return ExportError(
        "Notebooks cannot be run here.",
        why=str(error),
        advice=f"{Path(sys.executable).name} -m pip install 'ebpf-workbench[notebook]'",
    )
