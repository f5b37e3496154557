"""`wb.profile`: record the calling process itself for the length of a block.

>>> with wb.profile(hz=999) as p:            # doctest: +SKIP
...     work()
>>> p                                        # doctest: +SKIP
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from workbench.capture_arguments import kinds_of
from workbench.client import Capture, capture
from workbench.errors import ParameterError

if TYPE_CHECKING:
    from workbench.frames.stacks import Start
    from workbench.session import Session
    from workbench.views.flamegraph import Flamegraph

HZ = 999
"""Samples a second on each CPU by default: a block of a tenth of a second has a hundred."""

_TASKS = Path("/proc/self/task")


class Profile:
    """What a block of code did; made by :func:`profile`.

    In a notebook it shows the flamegraph of each kind. A session without ``output`` is removed
    together with this object.

    Parameters
    ----------
    recording : Capture
        Of this process, not started.
    kept : bool
        Whether the session's files stay.
    """

    def __init__(self, recording: Capture, *, kept: bool) -> None:
        self._capture = recording
        if not kept:
            weakref.finalize(self, shutil.rmtree, recording.spec.output, ignore_errors=True)
        self.begin_with: Start = ""
        """Function with which its flamegraphs begin: the one with the block."""
        self._others: frozenset[int] = frozenset()
        self._begin = self._end = 0
        self._session: Session | None = None

    def start(self) -> Self:
        """Begin.

        Raises
        ------
        NotPermittedError, UnsupportedKernelError, LoadError, AttachError
            The kernel refuses it; nothing is left behind.
        """
        self._capture.start()
        me = str(threading.get_native_id())
        self._others = frozenset(int(name) for name in os.listdir(_TASKS) if name != me)
        self._begin = time.time_ns()
        return self

    def stop(self) -> Session:
        """End; return the session. What has ended already stays as it is."""
        if self._session is None:
            self._end = time.time_ns()
            self._session = self._capture.stop()
        return self.session

    def __enter__(self) -> Self:
        code = sys._getframe(1).f_code
        self.begin_with = (code.co_qualname, code.co_filename)
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def session(self) -> Session:
        """The session, cut to the block: without what starting and stopping it took.

        Raises
        ------
        ParameterError
            The block has not ended.
        """
        if self._session is None:
            raise ParameterError("This profile has not ended.", advice="Look after the block.")
        return self._session.window(self._begin, self._end)

    @property
    def seconds(self) -> float:
        """Length of the block."""
        return (self._end - self._begin) / 1e9

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that were recorded."""
        return tuple(self._capture.spec.kinds)

    def flamegraph(
        self, kind: str = "", *, others: bool | None = None, **options: Any
    ) -> Flamegraph:
        """Return the flamegraph of a kind, by default of the first one.

        Parameters
        ----------
        kind : str
        others : bool, optional
            Whether to show threads that were there before the block and are not the one that
            ran it. By default not for ``offcpu``: they wait for something else.
        **options
            See :meth:`workbench.session.Session.flamegraph`. What calls the block is left out
            unless ``start`` says otherwise.

        Raises
        ------
        MissingTableError
            There are no stacks of that kind.
        """
        kind = kind or self.kinds[0]
        session = self.session
        if self._others and not (kind != "offcpu" if others is None else others):
            import polars as pl

            session = session.where(expr=~pl.col("tid").is_in(sorted(self._others)))
        options.setdefault("start", self.begin_with)
        options.setdefault("title", f"{kind}: {self.seconds:.3g} s of this process")
        return session.flamegraph(kind, **options)

    def flamegraphs(self) -> list[Flamegraph]:
        """Return the flamegraph of each kind that has stacks."""
        tables = self.session.tables
        with_stacks = (
            k for k in self.kinds if k in tables and "stack_id" in tables[k].schema.names
        )
        return [self.flamegraph(kind) for kind in with_stacks]

    def _repr_html_(self) -> str:
        if self._session is None:
            return "<i>The profile has not ended.</i>"
        return "".join(graph._repr_html_() for graph in self.flamegraphs())

    def __repr__(self) -> str:
        if self._session is None:
            return "<Profile: not ended>"
        rows = ", ".join(
            f"{kind} {self.session[kind].num_rows:,}"
            for kind in self.kinds
            if kind in self.session.tables
        )
        return f"<Profile of {self.seconds:.3g} s: {rows or 'no events'}>"


def profile(
    kinds: str | Sequence[str] | Mapping[str, Mapping[str, Any]] = "cpu",
    *,
    hz: int = HZ,
    children: bool = False,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    **parameters: Any,
) -> Profile:
    """Profile the calling process: a context manager, or to be used with start() and stop().

    Parameters
    ----------
    kinds : str, sequence of str, or mapping
        As for :func:`workbench.client.capture`, such as ``"cpu,offcpu"``.
    hz : int
        Samples a second on each CPU, for the kinds that have a clock.
    children : bool
        Whether processes that the block starts belong to it.
    output : path, optional
        File to leave, ``NAME.wb``. Without it the session lives as long as the profile.
    overwrite : bool
        Replace an existing session at ``output``.
    **parameters
        Parameters of the kinds, e.g. ``min_us=100``.

    Returns
    -------
    Profile

    Raises
    ------
    UnknownKindError, ParameterError, StorageError
    """
    from workbench.kinds import find

    chosen = kinds_of(kinds)
    if any("hz" in {p.name for p in find(name).parameters} for name in chosen):
        parameters = {"hz": hz, **parameters}
    recording = capture(
        kinds,
        pid=os.getpid(),
        follow=children,
        output=output,
        overwrite=overwrite,
        progress=False,
        wait=False,
        **parameters,
    )
    return Profile(recording, kept=output is not None)
