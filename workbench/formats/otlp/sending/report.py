"""What became of everything that was sent: exact numbers, by signal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html import escape

from workbench.errors import RefusedError, SendError, UndeliveredError, UnreachableError
from workbench.formats.otlp.signals import known

_MEGABYTE = 1e6


@dataclass(slots=True)
class SignalReport:
    """What became of the items of one signal; ``sent + rejected + failed == produced``.

    Attributes
    ----------
    signal : str
        ``traces``, ``metrics``, ``logs`` or ``profiles``.
    produced : int
        Spans, data points, log records or samples that were given to :func:`send`.
    sent : int
        Taken by the receiver.
    rejected : int
        Delivered, but rejected by the receiver (partial success).
    failed : int
        Lost for good.
    doubled : int
        Of those sent or rejected: the receiver may have them twice, because an answer was lost
        after the request was delivered, and it was sent again.
    unconfirmed : int
        Of those failed: the receiver may have them, but its answer was lost.
    requests, retries, splits : int
        Attempts; those that repeated one; requests that were halved for being too large.
    bytes, wire_bytes : int
        Of the serialised requests that were taken; of all attempts as they were handed over, in
        JSON or compressed (but for gRPC, which compresses by itself and does not tell).
    losses, rejections : Counter
        Items by reason, and by the receiver's message.
    warnings : Counter
        Times that a receiver said something while it rejected nothing, by message.
    """

    signal: str
    produced: int = 0
    sent: int = 0
    rejected: int = 0
    failed: int = 0
    doubled: int = 0
    unconfirmed: int = 0
    requests: int = 0
    retries: int = 0
    splits: int = 0
    bytes: int = 0
    wire_bytes: int = 0
    losses: Counter[str] = field(default_factory=Counter)
    rejections: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)

    def lose(self, items: int, why: str, *, unconfirmed: bool = False) -> None:
        """Count items as lost for good."""
        self.failed += items
        self.losses[why] += items
        if unconfirmed:
            self.unconfirmed += items

    def add(self, other: SignalReport) -> None:
        """Add the numbers of another part of the same signal."""
        for name in self.__slots__[1:]:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, name, mine + theirs)


@dataclass(slots=True)
class SendReport:
    """What :func:`send` did. It is complete when `send` returns it, and grows until then.

    Attributes
    ----------
    endpoints : dict of str to str
        Where each signal went.
    signals : dict of str to SignalReport
        By signal; only those of which there was a request.
    seconds : float
        Since the beginning.
    cancelled : bool
        Sending was cancelled. What had not been produced then is in no number.
    trouble : str
        While sending: what is being waited for; empty when all is well.
    error : SendError or None
        What went wrong first, with what to do next.
    """

    endpoints: dict[str, str] = field(default_factory=dict)
    signals: dict[str, SignalReport] = field(default_factory=dict)
    seconds: float = 0.0
    cancelled: bool = False
    trouble: str = ""
    error: SendError | None = None

    def of(self, signal: str) -> SignalReport:
        """Return the part of a signal; it is made when there is none."""
        return self.signals.setdefault(signal, SignalReport(signal))

    def total(self, name: str) -> int:
        """Return the sum of one number, such as ``"sent"``, over all signals."""
        return sum(getattr(part, name) for part in self.signals.values())

    @property
    def ok(self) -> bool:
        """Whether everything was taken: nothing rejected, lost or cancelled."""
        return not (self.cancelled or self.total("failed") or self.total("rejected"))

    def check(self) -> SendReport:
        """Return the report itself, or raise when something was lost for good.

        Raises
        ------
        UnreachableError, RefusedError
            Nothing at all was taken; the error tells the first cause.
        UndeliveredError
            Part of it was lost.
        """
        failed, produced = self.total("failed"), self.total("produced")
        if not failed:
            return self
        if failed == produced and isinstance(self.error, (UnreachableError, RefusedError)):
            raise self.error
        raise UndeliveredError(
            f"{failed:,} of {produced:,} items were not delivered.",
            why="\n".join(self._losses()),
            advice=self.error.advice if self.error else "",
        )

    def _losses(self) -> list[str]:
        return [
            f"{items:,} {known(part.signal).items}: {why}"
            for part in self.signals.values()
            for why, items in part.losses.most_common()
        ]

    def _remarks(self) -> list[str]:
        """Return a line for all that is not as it should be."""
        lines = [f"lost: {line}" for line in self._losses()]
        for part in self.signals.values():
            items = known(part.signal).items
            for why, count in part.rejections.most_common():
                lines.append(f"rejected by the receiver: {count:,} {items}: {why}")
            for text, times in part.warnings.most_common():
                lines.append(f"the receiver says of {part.signal} ({times:,} times): {text}")
            if part.doubled:
                lines.append(
                    f"possibly doubled: {part.doubled:,} {items}; an answer was lost after they "
                    "were delivered, and they were sent again"
                )
            if part.unconfirmed:
                lines.append(
                    f"possibly received: {part.unconfirmed:,} of the lost {items}; "
                    "no answer came after they were delivered"
                )
        if self.cancelled:
            lines.append("cancelled: what had not been encoded yet is in none of these numbers")
        if self.trouble:
            lines.append(f"waiting: {self.trouble}")
        return lines

    def _rows(self) -> list[tuple[str, ...]]:
        columns = ("produced", "sent", "rejected", "failed", "doubled", "requests", "retries")
        rows: list[tuple[str, ...]] = [("signal", "items", *columns, "MB", "to")]
        for name, part in self.signals.items():
            numbers = (f"{getattr(part, column):,}" for column in columns)
            size = f"{part.wire_bytes / _MEGABYTE:,.1f}"
            items = known(name).items
            rows.append((name, items, *numbers, size, self.endpoints.get(name, "")))
        return rows

    def _headline(self) -> str:
        state = "all delivered" if self.ok else "NOT all delivered"
        sent, produced = self.total("sent"), self.total("produced")
        return f"{sent:,} of {produced:,} items sent in {self.seconds:.2f} s: {state}"

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [self._headline()]
        for row in rows:
            cells = [
                cell.ljust(width) if index in (0, 1, len(row) - 1) else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, *self._remarks()])

    def _repr_html_(self) -> str:
        head, *rows = self._rows()
        cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
        )
        remarks = "".join(f"<li>{escape(line)}</li>" for line in self._remarks())
        return (
            f"<p><b>{escape(self._headline())}</b></p>"
            f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
            + (f"<ul>{remarks}</ul>" if remarks else "")
        )
