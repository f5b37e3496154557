"""`wb.capture`: start a recorder, wait for its end, hand the session over."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from workbench import kinds as kind_registry
from workbench.capture_arguments import check_target, kinds_of, with_parameters, words_of
from workbench.errors import ParameterError, WorkbenchError
from workbench.held import HeldCommand
from workbench.output import OldSession, check_room, choose
from workbench.progress import Progress, show
from workbench.recorder.spec import Spec, Target
from workbench.recorder_client import RecorderClient
from workbench.recorder_process import prepare_next

if TYPE_CHECKING:
    from workbench.session import Session

POLL_S = 0.1


class RecorderDiedWarning(UserWarning):
    """The recorder died; the session holds what it had flushed."""


class CaptureProblemWarning(UserWarning):
    """Something went wrong that did not end the capture; the session's manifest names it, too."""


class Capture:
    """A capture that can be started, watched and stopped; made by :func:`capture`.

    As a context manager it runs for the length of the block::

        with wb.capture("syscalls", pid=pid) as session:
            ...                     # session.refresh() shows what has come so far
        session.syscalls()
    """

    def __init__(
        self,
        spec: Spec,
        command: Sequence[str] | None,
        progress: bool | None,
        overwrite: bool = False,
    ) -> None:
        self.spec = spec
        self.exit_code: int | None = None
        self._command = tuple(command) if command else None
        self._progress = progress
        self._overwrite = overwrite
        self._held: HeldCommand | None = None
        self._old: OldSession | None = None
        self._client: RecorderClient | None = None
        self._session: Session | None = None
        self._over = False

    def start(self) -> Capture:
        """Attach the probes and, if there is a command, let it begin.

        Raises
        ------
        WorkbenchError
            What failed; nothing is left behind.
        """
        if self._client is not None:
            raise ParameterError("This capture has been started already.")
        try:
            self._begin()
        except BaseException:
            self._give_up()
            raise
        return self

    def _begin(self) -> None:
        spec = self.spec
        if self._command:
            spec, variables = self._preload(spec)
            self._held = HeldCommand(self._command, variables)
            target = Target(**{**spec.target.__dict__, "pid": self._held.pid, "held": True})
            spec = Spec(**{**spec.__dict__, "target": target})
        check_room(Path(spec.output), self._overwrite)  # again: time has passed since it was made
        self._old = OldSession(Path(spec.output))
        self._client = RecorderClient(spec)
        import workbench.session  # noqa: F401 - meanwhile, the recorder imports what it needs

        self._client.wait_ready()
        self._old.remove()
        if self._held:
            self._held.release()

    @staticmethod
    def _preload(spec: Spec) -> tuple[Spec, dict[str, str]]:
        """Have a library loaded into the command, where a kind works better so."""
        if not any(kind_registry.find(name, given).preloads for name, given in spec.kinds.items()):
            return spec, {}
        from workbench.recorder.preload import prepared

        return prepared(spec, os.environ)

    def _give_up(self) -> None:
        """Leave nothing running and no empty directory."""
        if self._client is not None:
            self._client.kill()
            self._client.close()
        self._end_command()
        self._over = True
        with suppress(OSError):  # it is not there, or holds something
            Path(self.spec.output).rmdir()
        if self._old is not None:
            self._old.restore()

    def _started(self) -> RecorderClient:
        if self._client is None:
            raise ParameterError("This capture has not been started.", advice="Call start().")
        return self._client

    @property
    def session(self) -> Session:
        """The session: live while the capture runs."""
        if self._session is None:
            deadline = time.monotonic() + 10.0
            while not (Path(self.spec.output) / "manifest.json").exists():
                if Path(self.spec.output).is_file() or time.monotonic() > deadline:
                    break
                time.sleep(0.002)
            self._session = _open(self.spec.output)
        return self._session

    @property
    def recorder_pid(self) -> int:
        """Process id of the recorder."""
        return self._started().pid

    def disable(self, probe: str = "") -> None:
        """Switch one of the user's own probes off while the capture runs.

        It is detached and costs nothing any more; what it has seen stays, and the others go on.
        ``session.manifest.switched_off`` tells when it was off.

        Parameters
        ----------
        probe : str
            Name of its table; may be left out where there is one probe only.

        Raises
        ------
        ParameterError
            The capture has no such probe or does not run.
        """
        self._switch(probe, on=False)

    def enable(self, probe: str = "") -> None:
        """Switch a probe on again that was switched off.

        Calls that were under way when it was switched off are not seen to return.

        Parameters
        ----------
        probe : str
            As for :meth:`disable`.

        Raises
        ------
        ParameterError
            The capture has no such probe or does not run.
        AttachError, NotPermittedError
            What it was put on has gone meanwhile; it stays off.
        """
        self._switch(probe, on=True)

    def _switch(self, probe: str, *, on: bool) -> None:
        client, known = self._started(), list(self.spec.kinds)
        if not probe and len(known) > 1:
            why = f"it has {', '.join(known)}"
            raise ParameterError("This capture has several probes; name one.", why=why)
        if self._over:
            raise ParameterError("This capture has ended.")
        client.switch(probe or known[0], on=on)

    def wait(self) -> Session:
        """Wait until the command, the duration or Ctrl-C ends it; return the session."""
        client = self._started()
        if self._over:
            return self.session
        with show(self._progress, self.spec.duration) as progress:
            interrupted = False
            while True:
                try:
                    ended = client.join(POLL_S)
                    progress.update(client.progress)
                    if self._held and not interrupted:
                        self._held.poll()
                    if ended:
                        break
                except KeyboardInterrupt:
                    if interrupted:
                        raise
                    interrupted = True
                    client.stop()
        return self._finish(client, progress)

    def stop(self) -> Session:
        """Stop it; return the session. What has ended already stays as it is."""
        client = self._started()
        if not self._over:
            client.stop()
        return self.wait()

    def _finish(self, client: RecorderClient, progress: Progress) -> Session:
        self._end_command()
        self._over = True
        result = client.result
        if result is None or result["event"] == "error":
            error = client.error()
            client.close()
            return self._recovered(error)
        client.close()
        prepare_next()
        progress.done(client.progress, result)
        live, self._session = self._session, _open(self.spec.output)
        if live is not None:  # whoever holds the live session sees the finished one
            live.refresh()
            self._session = live
        for text in self._session.manifest.problems:
            warnings.warn(CaptureProblemWarning(text), stacklevel=4)
        return self._session

    def _recovered(self, error: WorkbenchError) -> Session:
        try:
            session = _open(self.spec.output)
        except WorkbenchError:
            raise error from None
        if self._session is not None:
            self._session.refresh()
            session = self._session
        warnings.warn(RecorderDiedWarning(str(error)), stacklevel=4)
        self._session = session
        return session

    def _end_command(self) -> None:
        if self._held:
            self._held.end()
            self.exit_code = self._held.status

    def __enter__(self) -> Session:
        self.start()
        try:
            return self.session
        except BaseException:  # the block will not run, nor __exit__
            self._give_up()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "not started" if self._client is None else "ended"
        if self._client is not None and self._client.running:
            state = f"running, {self._client.progress.get('rows', 0):,} rows"
        return f"<Capture of {', '.join(self.spec.kinds)}: {state}>"


def capture(
    kinds: str | Sequence[str] | Mapping[str, Mapping[str, Any]],
    *,
    pid: int | None = None,
    command: str | Sequence[str] | None = None,
    cgroup: str | None = None,
    comm: str | None = None,
    system_wide: bool = False,
    follow: bool = True,
    duration: float | None = None,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    ring_bytes: int | None = None,
    transport: str = "auto",
    overhead: str = "sampled",
    progress: bool | None = None,
    wait: bool | None = None,
    **parameters: Any,
) -> Any:
    """Capture what a target does.

    With ``command`` or ``duration`` it waits for the end and returns the session. Without, it
    returns a :class:`Capture`: a context manager, or to be used with ``start()`` and ``stop()``.

    Parameters
    ----------
    kinds : str, sequence of str, or mapping of str to mapping
        Names of the capture kinds (``"cpu,syscalls"`` works too); a mapping gives each kind its
        own parameters. `wb.kinds()` lists them.
    pid : int, optional
        A process with all its threads and, if ``follow``, its descendants.
    command : str or sequence of str, optional
        A command to start; a string is split as a shell would, but no shell runs it. It is held
        until all probes are attached. What still runs at the end is terminated.
    cgroup : str, optional
        A cgroup v2: its path in the hierarchy or in the file system; or the id of a container,
        its first 12 digits at least.
    comm : str, optional
        Only threads of that name (at most 15 bytes).
    system_wide : bool
        Allow a capture with neither of these.
    follow : bool
        Whether children of the process belong to the target.
    duration : float, optional
        Seconds after which to stop.
    output : path, optional
        File to leave, ``NAME.wb``. Without it the session is a directory below the temporary
        directory, kept until the system cleans that.
    overwrite : bool
        Replace an existing session at ``output``.
    ring_bytes : int, optional
        Size of each CPU's event buffer of each kind in bytes, a power of two.
    transport, overhead : str
        See :class:`workbench.recorder.spec.Spec`.
    progress : bool, optional
        Show a progress bar; by default on terminals and in notebooks.
    wait : bool, optional
        Whether to wait for the end; by default with ``command`` or ``duration``.
    **parameters
        Parameters of the kinds, e.g. ``hz=999``; each goes to the kinds that have it.

    Returns
    -------
    Session or Capture

    Raises
    ------
    UnknownKindError, ParameterError, TargetError
        What was asked for makes no sense.
    NotPermittedError, UnsupportedKernelError, LoadError, AttachError
        The kernel refuses it.
    """
    words = words_of(command)
    check_target(pid, command, words, cgroup, comm, system_wide)
    chosen = with_parameters(kinds_of(kinds), parameters)
    spec = Spec(
        kinds=chosen,
        output="",
        target=Target(pid=pid, cgroup=cgroup, comm=comm, follow=follow, command=words),
        duration=duration,
        ring_bytes=ring_bytes,
        transport=transport,
        overhead=overhead,
        pack=output is not None,
    ).checked()
    spec = replace(spec, output=choose(output, list(chosen)))
    check_room(Path(spec.output), overwrite)
    made = Capture(spec, words or None, progress, overwrite)
    if wait if wait is not None else bool(words) or duration is not None:
        return made.start().wait()
    return made


def _open(path: str) -> Session:
    from workbench.session import Session

    return Session.open(path)
