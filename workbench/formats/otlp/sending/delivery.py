"""Bring one request to its receiver: attempts, back-off, halving, and exact book-keeping."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from workbench.errors import ExportError, RefusedError, SendError, UnreachableError
from workbench.formats.otlp.request import Request
from workbench.formats.otlp.sending.answer import Answer, Transport, Verdict
from workbench.formats.otlp.sending.partial import rejected_items
from workbench.formats.otlp.sending.report import SignalReport
from workbench.formats.otlp.sending.retry import Clock, Retry
from workbench.formats.otlp.sending.settings import Destination

_BLIND_HALVINGS = 3
"""How often a request is halved when the receiver does not say that it is the size: a used-up
quota looks the same, and would be asked once for each item."""

CANCELLED = "cancelled"


@dataclass(slots=True)
class _Piece:
    """A request, or a part of one that was too large."""

    request: Request
    lost: bool = False
    """An answer was lost: the receiver may have it."""
    blind: int = 0
    """How often it was halved on suspicion."""


@dataclass(slots=True)
class Outcome:
    """What became of one request.

    Attributes
    ----------
    numbers : SignalReport
        Of this request alone.
    error : SendError or None
        The first loss, as an error.
    """

    numbers: SignalReport
    error: SendError | None = None


@dataclass(slots=True)
class Route:
    """The way of one signal, shared by the threads that send.

    Parameters
    ----------
    destination : Destination
        Where to.
    transport : Transport
        How.
    retry : Retry
        When to send again.
    clock : Clock
        What time it is.
    stop : threading.Event
        Set: nothing is begun any more.
    """

    destination: Destination
    transport: Transport
    retry: Retry
    clock: Clock
    stop: threading.Event
    trouble: str = ""
    """What is being waited for."""
    _closed: Answer | None = None
    _not_before: float = float("-inf")
    _last_taken: float = float("-inf")
    _too_large: float = float("inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def deliver(self, request: Request) -> Outcome:
        """Send a request until it is taken, rejected or lost for good. Never raises."""
        outcome = Outcome(SignalReport(request.signal, produced=request.items))
        pieces = [_Piece(request)]
        while pieces:
            piece = pieces.pop()
            if len(piece.request.body) >= self._too_large and self._halve(piece, pieces, outcome):
                continue
            answer = self._send(piece, outcome.numbers)
            if answer.verdict is Verdict.TAKEN:
                self._book(piece, answer, outcome.numbers)
            elif not self._shrink(piece, answer, pieces, outcome):
                self._lose(piece, answer, outcome)
        return outcome

    def _send(self, piece: _Piece, numbers: SignalReport) -> Answer:
        """Attempt until the answer is final."""
        if (ended := self._ended()) is not None:
            return ended
        try:
            payload = self.transport.prepare(piece.request.body)
        except ExportError as error:
            return Answer(Verdict.REFUSED, str(error.what), advice=error.advice)
        first, attempt = self.clock.now(), 0
        while True:
            if (ended := self._ended()) is not None:
                return ended
            numbers.requests += 1
            numbers.retries += attempt > 0
            numbers.wire_bytes += len(payload)
            answer = self.transport.export(payload, self.destination.timeout)
            if answer.verdict is not Verdict.RETRY:
                self._settle(answer)
                return answer
            piece.lost |= answer.lost
            if self.stop.is_set():
                return Answer(Verdict.REFUSED, CANCELLED)
            delay = self.retry.delay(attempt, answer.wait)
            attempt += 1
            if self.clock.now() - first + delay > self.retry.patience:
                return self._give_up(answer, first, attempt, delay)
            self.trouble = f"{answer.why}; next attempt in {delay:.1f} s"
            self._throttle(answer, delay)
            self.clock.wait(delay, self.stop)

    def _ended(self) -> Answer | None:
        """Wait while the receiver asked for it; return an answer where nothing is to be sent."""
        while not self.stop.is_set() and self._closed is None:
            wait = self._not_before - self.clock.now()
            if wait <= 0:
                return None
            self.clock.wait(wait, self.stop)
        return self._closed or Answer(Verdict.REFUSED, CANCELLED)

    def _throttle(self, answer: Answer, delay: float) -> None:
        """Hold back the other threads, too, when the receiver asked for a pause."""
        if answer.wait:
            with self._lock:
                self._not_before = max(self._not_before, self.clock.now() + delay)

    def _settle(self, answer: Answer) -> None:
        with self._lock:
            if answer.verdict is Verdict.TAKEN:
                self._last_taken = self.clock.now()
                self.trouble = ""
            elif answer.hopeless:
                # Of this request an answer may be lost; of those that follow, nothing is sent.
                self._closed = self._closed or replace(answer, lost=False)

    def _give_up(self, answer: Answer, first: float, attempts: int, delay: float) -> Answer:
        """Return the final answer; when nothing came through meanwhile, of all that follows."""
        waited = self.clock.now() - first
        why = f"given up after {attempts} attempts in {waited:.1f} s"
        if answer.wait:
            why += f" (the receiver asks for {delay:.0f} s more)"
        final = Answer(
            Verdict.REFUSED,
            f"{why}: {answer.why}",
            answer.advice,
            connected=answer.connected and not answer.lost,
        )
        with self._lock:
            if self._last_taken < first:
                self._closed = self._closed or final
        return final

    def _shrink(
        self, piece: _Piece, answer: Answer, pieces: list[_Piece], outcome: Outcome
    ) -> bool:
        """Halve what was too large, if it can be and is likely to help."""
        if answer.verdict is not Verdict.TOO_LARGE:
            return False
        if answer.sized:
            with self._lock:
                self._too_large = min(self._too_large, len(piece.request.body))
        elif piece.blind >= _BLIND_HALVINGS:
            return False
        else:
            piece.blind += 1
        return self._halve(piece, pieces, outcome)

    def _halve(self, piece: _Piece, pieces: list[_Piece], outcome: Outcome) -> bool:
        from workbench.formats.otlp.sending.split import halve  # needs protobuf

        halves = halve(piece.request)
        if halves is None:
            return False
        outcome.numbers.splits += 1
        pieces.extend(_Piece(half, piece.lost, piece.blind) for half in reversed(halves))
        return True

    def _book(self, piece: _Piece, answer: Answer, numbers: SignalReport) -> None:
        """Count what was taken."""
        request = piece.request
        rejected = rejected_items(request, answer.rejected)
        numbers.sent += request.items - rejected
        numbers.rejected += rejected
        numbers.bytes += len(request.body)
        if piece.lost:
            numbers.doubled += request.items
        if answer.rejected:
            numbers.rejections[answer.message or "(no reason given)"] += rejected
        elif answer.message:
            numbers.warnings[answer.message] += 1

    def _lose(self, piece: _Piece, answer: Answer, outcome: Outcome) -> None:
        """Count what is lost for good."""
        outcome.numbers.lose(piece.request.items, answer.why, unconfirmed=piece.lost or answer.lost)
        if outcome.error is None and answer.why != CANCELLED:
            outcome.error = self.error(answer)

    def error(self, answer: Answer) -> SendError:
        """Return a failing answer as the error that a user meets."""
        name, url = self.destination.signal.name, self.destination.url
        if not answer.connected or answer.lost:
            return UnreachableError(
                f"No receiver of OTLP could be reached at {url} for {name}.",
                why=answer.why,
                advice=answer.advice,
            )
        return RefusedError(
            f"The receiver at {url} does not take {name}.", why=answer.why, advice=answer.advice
        )
