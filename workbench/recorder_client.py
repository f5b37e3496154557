"""Talking to a recorder process."""

from __future__ import annotations

import itertools
import json
import queue
import threading
from typing import TYPE_CHECKING, Any

from workbench import errors
from workbench.errors import ParameterError, RecorderError, WorkbenchError
from workbench.recorder_process import recorder

if TYPE_CHECKING:
    from workbench.recorder.spec import Spec

READY_S = 60.0
STOP_S = 600.0
LAST_WORDS = 4000
"""Bytes of its standard error that an error shows: the stacks of a crash are among them."""
ORDER_S = 120.0
"""Longest wait for a probe to be switched: each place of a uprobe takes up to 0.2 s."""


class RecorderClient:
    """A recorder process and what it has said.

    The recorder is a process of its own session: Ctrl-C and the end of a notebook kernel do not
    reach it; that its standard input ends does, and makes it save and go.
    """

    def __init__(self, spec: Spec) -> None:
        self.progress: dict[str, Any] = {}
        self.result: dict[str, Any] | None = None
        self._ready = threading.Event()
        self._recorder = recorder()
        self._process, self._errors = self._recorder.process, self._recorder.errors
        self._started = False
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._numbers = itertools.count()
        self._asking = threading.Lock()
        self._thread = threading.Thread(target=self._listen, name="recorder", daemon=True)
        self._thread.start()
        self._send(spec.to_json() + "\n")

    @property
    def pid(self) -> int:
        """Process id of the recorder."""
        return self._process.pid

    def _send(self, text: str) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        except (OSError, ValueError):
            pass  # it has died or was closed: what it said, or that it died, is told by wait()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            try:
                message = json.loads(line)
                what = message["event"]
            except (ValueError, TypeError, KeyError):
                continue  # a library has printed something: this thread must go on reading
            if what in ("progress", "saving"):
                self.progress = message
            elif what in ("done", "error"):
                self.result = message
            elif what == "ready":
                self._started = True
            elif what in ("switched", "refused"):
                self._answers.put(message)
            if what != "progress":
                self._ready.set()
        self._ready.set()
        self._answers.put(None)

    def wait_ready(self) -> None:
        """Wait until all probes are attached.

        Raises
        ------
        WorkbenchError
            What the recorder failed with.
        """
        if not self._ready.wait(READY_S):
            self.kill()
            raise RecorderError(
                f"The recorder was not ready after {READY_S:.0f} s.", why=self._stderr()
            )
        if not self._started:
            raise self.error()

    @property
    def running(self) -> bool:
        """Whether it still records or saves."""
        return self._thread.is_alive()

    def join(self, timeout: float) -> bool:
        """Wait for its end; True if it has ended."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def switch(self, probe: str, *, on: bool) -> None:
        """Have a probe switched off or on; return when it is.

        Raises
        ------
        WorkbenchError
            The recorder refuses, or has ended.
        """
        with self._asking:
            number = next(self._numbers)
            self._send(json.dumps({"number": number, "probe": probe, "on": on}) + "\n")
            while True:
                try:
                    answer = self._answers.get(timeout=ORDER_S)
                except queue.Empty:
                    why = f"it did not answer within {ORDER_S:.0f} s"
                    raise RecorderError(f"{probe} cannot be switched.", why=why) from None
                if answer is None:
                    self._answers.put(None)  # for those who ask after this
                    raise ParameterError(f"{probe} cannot be switched: this capture has ended.")
                if answer.get("number") == number:
                    break
        if answer["event"] == "refused":
            raise _named(answer)

    def stop(self) -> None:
        """Ask it to stop and save."""
        self._send("stop\n")

    def kill(self) -> None:
        """End it at once; everything flushed stays readable."""
        self._process.kill()
        self._thread.join(5.0)
        self._process.wait()

    def close(self) -> None:
        """Reap it."""
        for stream in (self._process.stdin, self._process.stdout):
            try:
                if stream:
                    stream.close()
            except OSError:
                pass
        self._process.wait()
        self._errors.close()

    def error(self) -> WorkbenchError:
        """Return what went wrong, as the error that the recorder named."""
        self._thread.join(5.0)
        result = self.result
        if result and result["event"] == "error":
            return _named(result)
        code = self._process.wait()
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return RecorderError(
            "The recorder died.",
            why=f"{how}. {self._stderr()}".strip(),
            advice="What it had flushed is in the session, which opens as recovered.",
        )

    def _stderr(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-LAST_WORDS:].decode("utf-8", "replace").strip()


def _named(message: dict[str, Any]) -> WorkbenchError:
    """Return the error that the recorder told of."""
    kind: type[WorkbenchError] = getattr(errors, str(message["type"]), RecorderError)
    return kind(message["what"], why=message["why"], advice=message["advice"])
