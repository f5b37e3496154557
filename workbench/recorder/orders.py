"""What the client asks of a running recorder, and the probes that it switches off and on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.errors import ParameterError, WorkbenchError

if TYPE_CHECKING:
    from workbench.recorder.tables import EventSource

CLIENT_GONE = "the client went away"
STOPPED = "stopped by the user"
MAX_PERIODS = 4096
"""Periods that the manifest holds."""


@dataclass
class Orders:
    """Lines of the client: a word that stops the capture, or JSON that switches a probe.

    Parameters
    ----------
    fd : int
        Their descriptor.
    """

    fd: int
    _rest: bytes = field(default=b"", init=False)

    def read(self) -> Iterator[dict[str, Any] | str]:
        """Give what can be read now: orders, or the reason to stop, after which nothing comes."""
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            data = b""
        if not data:
            yield CLIENT_GONE
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            order = _parsed(line)
            yield order or STOPPED
            if order is None:
                return


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        order = json.loads(line)
    except ValueError:
        return None
    return order if isinstance(order, dict) else None


class Switches:
    """Switches the user's own probes off and on while they record.

    Parameters
    ----------
    sources : sequence of EventSource
        All of the capture.
    tell : callable
        Takes the answer to each order.
    """

    def __init__(
        self, sources: Sequence[EventSource], tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self._sources, self._tell = sources, tell
        self.periods: list[dict[str, Any]] = []

    def obey(self, order: dict[str, Any]) -> None:
        """Carry out ``{"number": n, "probe": name, "on": bool}``, and say whether it worked."""
        answer: dict[str, Any] = {"number": order.get("number")}
        try:
            self._switch(str(order.get("probe")), bool(order.get("on")))
            answer["event"] = "switched"
        except WorkbenchError as error:
            answer |= {"event": "refused", "type": type(error).__name__}
            answer |= {"what": error.what, "why": error.why, "advice": error.advice}
        self._tell(answer)

    def _switch(self, name: str, on: bool) -> None:
        source = next((each for each in self._sources if each.kind == name), None)
        if source is None:
            known = ", ".join(each.kind for each in self._sources)
            raise ParameterError(f"This capture has no probe {name}.", why=f"it has {known}")
        period = self._open(name)
        if on and period is not None:
            now = time.time_ns()
            source.switch(on=True)
            period["to_ns"] = now
        elif not on and period is None:
            if len(self.periods) >= MAX_PERIODS:
                raise ParameterError(f"Probes were switched off {MAX_PERIODS:,} times already.")
            source.switch(on=False)
            self.periods.append({"kind": name, "from_ns": time.time_ns(), "to_ns": None})

    def _open(self, name: str) -> dict[str, Any] | None:
        """The period in which a probe is off now."""
        return next((p for p in self.periods if p["kind"] == name and p["to_ns"] is None), None)
