"""When to send again: what OTLP calls transient, how long to wait, when to give up.

The lists are those of the OTLP specification (``docs/specification.md`` of opentelemetry-proto:
*Failures*, *Retryable Response Codes*, *OTLP/gRPC Throttling* and *OTLP/HTTP Throttling*).
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

HTTP_RETRYABLE = frozenset({429, 502, 503, 504})
"""HTTP statuses after which the same request may be sent again."""

GRPC_RETRYABLE = frozenset(
    {
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNAVAILABLE",
        "DATA_LOSS",
    }
)
"""gRPC codes likewise; ``RESOURCE_EXHAUSTED`` only if the answer holds a ``RetryInfo``."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Exponential back-off with jitter.

    Parameters
    ----------
    initial : float
        Seconds before the second attempt, about.
    factor : float
        Growth from one wait to the next.
    maximum : float
        Seconds of the longest wait that is not the receiver's wish.
    patience : float
        Seconds after its first attempt in which a request must be through; after that it is
        lost for good. A wait that would go beyond is not begun.
    random : random.Random
        Where the jitter comes from: each wait is between the half and the whole of its value,
        so that senders which failed together do not come back together.
    """

    initial: float = 1.0
    factor: float = 2.0
    maximum: float = 30.0
    patience: float = 60.0
    random: random.Random = field(default_factory=random.Random, repr=False)

    def delay(self, attempt: int, wished: float | None = None) -> float:
        """Return the seconds to wait.

        Parameters
        ----------
        attempt : int
            How many attempts were made, minus one.
        wished : float, optional
            What the receiver asked for. It is kept, with up to a tenth more as jitter; a wish of
            zero seconds is answered with the usual back-off, so that nobody is hammered.
        """
        if wished:
            return wished * (1 + self.random.random() / 10)
        # The exponent is bounded: a float overflows at 2 ** 1024.
        longest = min(self.maximum, self.initial * self.factor ** min(attempt, 64))
        return longest * (0.5 + self.random.random() / 2)


class Clock:
    """Time as sending sees it; tests bring their own."""

    def now(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since 1970, for dates in answers."""
        return time.time()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait; return at once, with True, when `stop` is set."""
        return stop.wait(seconds)


def retry_after(value: str | None, now: float) -> float | None:
    """Read a ``Retry-After`` header (RFC 9110, section 10.2.3).

    Parameters
    ----------
    value : str or None
        Whole seconds or a date of HTTP.
    now : float
        Seconds since 1970.

    Returns
    -------
    float or None
        Seconds to wait, not negative; None where there is no header, or one without meaning.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])  # more digits than any wait has
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None
