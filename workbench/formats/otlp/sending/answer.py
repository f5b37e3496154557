"""What became of one attempt to send a request, the same for gRPC and HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

_SIZE = re.compile(
    r"larger than max|exceeds? (the )?max|max(imum)? (message |body )?size|"
    r"(body|message|payload|request|entity|content) (is )?too (large|big)|size limit",
    re.IGNORECASE,
)


class Verdict(StrEnum):
    """What is to be done after an attempt."""

    TAKEN = "taken"
    """The receiver has the request; it may have rejected some items."""
    RETRY = "retry"
    """It may succeed later."""
    TOO_LARGE = "too large"
    """Smaller requests may be taken."""
    REFUSED = "refused"
    """It must not be sent again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one attempt.

    Parameters
    ----------
    verdict : Verdict
        What is to be done.
    why : str
        Status, the receiver's message, or what the network said.
    advice : str
        What the user can do.
    message : str
        What a receiver that took the request said of it (partial success or a warning).
    rejected : int
        Items that it rejected; of profiles, the profiles.
    wait : float, optional
        Seconds that the receiver wants to pass before the next attempt.
    lost : bool
        The request was handed to the network whole and no answer came: the receiver may have it.
    hopeless : bool
        All requests of this signal would end the same way.
    connected : bool
        A receiver was reached.
    sized : bool
        The receiver said that it is the size which is too large.
    """

    verdict: Verdict
    why: str = ""
    advice: str = ""
    message: str = ""
    rejected: int = 0
    wait: float | None = None
    lost: bool = False
    hopeless: bool = False
    connected: bool = True
    sized: bool = False


class Transport(Protocol):
    """A way to a receiver, for one signal. All methods may be called from several threads."""

    def prepare(self, body: bytes) -> bytes:
        """Return the bytes to send for a serialised request; they may be sent several times."""
        ...

    def export(self, payload: bytes, timeout: float | None) -> Answer:
        """Send what :meth:`prepare` made, once, within `timeout` seconds."""
        ...

    def abort(self) -> None:
        """End all attempts at once; none begins any more."""
        ...

    def close(self) -> None:
        """Close all connections, when no attempt runs any more."""
        ...


def speaks_of_size(text: str) -> bool:
    """Tell whether a receiver's message is about the size of a request.

    The texts are those of gRPC for C, Go and Java ("larger than max", "exceeds maximum size"),
    of Go's ``http.MaxBytesReader`` ("request body too large") and of common proxies.
    """
    return _SIZE.search(text) is not None


def shorten(text: str, limit: int = 300) -> str:
    """Return a foreign text on one line, without control characters, cut to `limit`."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
