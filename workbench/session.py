"""`Session`: a recording with its views and exporters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from workbench.formats.otlp.request import Request
    from workbench.formats.otlp.sending.report import SendReport
    from workbench.views.flamegraph import Flamegraph
    from workbench.views.hotspots import Hotspots
    from workbench.views.offcpu import OffcpuOverview
    from workbench.views.syscalls import SyscallOverview
    from workbench.views.view import View


class Session(Recording):
    """What was captured: tables, selections, views and exports.

    Everything of :class:`~workbench.recording.Recording`, and what is drawn from it.
    """

    def flamegraph(self, kind: str = "", **options: Any) -> Flamegraph:
        """Return an interactive flamegraph of a kind with stacks.

        Parameters
        ----------
        kind : str
            Table whose stacks are drawn; by default ``cpu``, without it the first with stacks.
        **options
            See :meth:`workbench.views.flamegraph.Flamegraph.of`: ``by=("comm",)`` names the
            columns that make the frames next to the root, ``weight="blocked"`` what widths
            stand for, ``icicle``, ``search``, ...

        Raises
        ------
        MissingTableError
        """
        from workbench.frames.stacks import profiled
        from workbench.views.flamegraph import Flamegraph

        return Flamegraph.of(self, kind or profiled(self), **options)

    def hotspots(self, kind: str = "", *, weight: str = "") -> Hotspots:
        """Return the functions and source lines in which the time is spent.

        Parameters
        ----------
        kind : str
            Table whose stacks are looked at; by default as of :meth:`flamegraph`.
        weight : str
            What is summed: by default events, of ``offcpu`` the time.

        Returns
        -------
        Hotspots
            Its ``functions`` and ``lines`` are polars frames with self and total of each.

        Raises
        ------
        MissingTableError
        """
        from workbench.frames.stacks import profiled
        from workbench.views.hotspots import Hotspots

        return Hotspots(self, kind or profiled(self), weight=weight)

    def syscalls(self) -> SyscallOverview:
        """Return the overview of the system calls: table, latency histogram, errors.

        Raises
        ------
        MissingTableError
        """
        from workbench.views.syscalls import SyscallOverview

        return SyscallOverview(self)

    def offcpu(self) -> OffcpuOverview:
        """Return the overview of off-CPU time: reasons, threads, wakers, the longest periods.

        Raises
        ------
        MissingTableError
        """
        from workbench.views.offcpu import OffcpuOverview

        return OffcpuOverview(self)

    def overview(self, kind: str = "") -> View:
        """Return what a kind or one of your own probes saw, at a glance: tables with units.

        Parameters
        ----------
        kind : str, optional
            Name of the kind or probe; by default the first one of the session.

        Returns
        -------
        View
            :meth:`syscalls`, :meth:`offcpu` or, of ``cpu``, :meth:`hotspots`; of all others the
            tables that the report shows. The frames behind them are in :mod:`workbench.frames`.

        Raises
        ------
        MissingTableError
        """
        from workbench.views.summaries import KindOverview

        kind = kind or next(iter(self.kinds), "")
        own = {"syscalls": self.syscalls, "offcpu": self.offcpu, "cpu": self.hotspots}
        return own[kind]() if kind in own else KindOverview(self, kind)

    def symbolize(
        self,
        search: Sequence[str | os.PathLike[str]] | str | os.PathLike[str] = (),
        output: str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
    ) -> Session:
        """Return a new session with the names, lines and inlined functions that can be found now.

        For sessions of a server without debug information, opened where that is.
        :func:`workbench.frames.symbols.symbol_summary` tells what is still missing.

        Parameters
        ----------
        search : path or sequence of paths
            Programs and debug files, or folders with such; they count by their build id alone.
            Then come the module where it was, ``/usr/lib/debug``, and ``DEBUGINFOD_URLS``.
        output : path, optional
            By default ``NAME.symbolized.wb`` beside this one.
        overwrite : bool
            Replace an existing session.

        Raises
        ------
        MissingTableError, ParameterError, StorageError
        """
        from workbench.symbolizing import symbolized

        return type(self).open(symbolized(self, search, output, overwrite=overwrite))

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write one HTML file with all views, which needs no network.

        Returns
        -------
        Path
            The file.
        """
        from workbench.views.report import report

        return Path(report(self, path))

    def export(
        self, format: str, path: str | os.PathLike[str], *, table: str | None = None
    ) -> Path:
        """Write the session, or this selection of it, in another format.

        Parameters
        ----------
        format : str
            See :func:`workbench.formats.formats`.
        path : path
            File to write.
        table : str, optional
            Table to write where the format takes one; by default the first kind's.

        Raises
        ------
        ExportError, MissingTableError, StorageError
        """
        from workbench.formats import export

        return Path(export(self, format, path, table=table))

    def send(
        self,
        endpoint: str | None = None,
        *,
        signals: Sequence[str] = ("traces", "metrics", "logs", "profiles"),
        more: Iterable[Request] = (),
        **options: Any,
    ) -> SendReport:
        """Send the session, or this selection of it, to a receiver of OTLP.

        Parameters
        ----------
        endpoint : str, optional
            Base URL, or a target of gRPC; what is not given here or in `options` is taken from
            ``OTEL_EXPORTER_OTLP_*``.
        signals : sequence of str
            ``traces``, ``metrics``, ``logs``, ``profiles``.
        more : iterable of Request
            Sent after them: metrics and logs of frames of your own, see
            :mod:`workbench.formats.otlp.frame_requests`.
        **options
            See :func:`workbench.formats.otlp.sending.send.send`: ``protocol``, ``headers``,
            ``compression``, ``certificate``, ``progress``, ``cancel``, ...

        Returns
        -------
        SendReport
            What became of each item; ``.check()`` raises if some were lost.

        Raises
        ------
        DestinationError, ExportError
        """
        from workbench.formats.otlp.encode import requests
        from workbench.formats.otlp.sending.send import send

        def every() -> Iterator[Request]:  # not itertools.chain: it is closed with what it takes
            yield from requests(self, signals)
            yield from more

        return send(every(), endpoint, **options)

    def export_panel(self, **settings: Any) -> Any:
        """Return a panel that exports this selection: format, part, destination, progress.

        For notebooks. It has a button that tests the connection to a receiver, a link to what was
        written, and the command line that does the same.

        Parameters
        ----------
        **settings
            What it shows first: ``format=``, ``output=``, ``endpoint=``, ``protocol=``, ...; see
            :class:`workbench.export_panel.ExportPanel`.

        Returns
        -------
        ExportPanel
        """
        from workbench.export_panel import ExportPanel

        return ExportPanel(self, **settings)


def open_session(path: str | os.PathLike[str], *, verify: bool | None = None) -> Session:
    """Open a session: a file, or a directory that is being recorded or was left by a crash.

    Needs no privilege and no eBPF.

    Parameters
    ----------
    path : path
    verify : bool, optional
        Check the checksums of all tables now; by default each is checked when it is first used.

    Raises
    ------
    SessionNotFoundError, SessionCorruptError, SessionVersionError
    """
    return Session.open(path, verify=verify)


def load_profile(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,
    overwrite: bool = False,
) -> Session:
    """Open a file of another tool (pprof, folded stacks, ...) as a session.

    Needs no privilege and no eBPF. Sessions are opened as they are.

    Parameters
    ----------
    path : path
        The file. What it is, is found by its content.
    output : path, optional
        The session to make of it; by default a private one in the temporary directory.
    format : str, optional
        One of :func:`workbench.formats.readable`, where it is not to be guessed.
    overwrite : bool
        Replace an existing session.

    Raises
    ------
    ImportFormatError
        The file is of no known format, or damaged.
    StorageError
        It cannot be read, or the session not be written.
    """
    from workbench.importing import import_file, is_session
    from workbench.output import choose

    if format is None and is_session(path):
        return Session.open(path)
    if output is None:
        output, overwrite = Path(choose(None, ["imported"])) / f"{Path(path).name}.wb", True
    return Session.open(import_file(path, output, format=format, overwrite=overwrite))
