"""A share of the time for work that is useful but not needed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TimeBudget:
    """Seconds that may be spent: a token bucket, full at the beginning.

    Parameters
    ----------
    share : float
        Seconds earned in each second.
    burst_s : float
        Seconds saved up at most.
    clock : callable
        Tells the time in seconds.

    Examples
    --------
    >>> budget = TimeBudget(share=0.1, burst_s=2.0)
    >>> budget.spend(1.5)
    >>> budget.left > 0
    True
    """

    def __init__(
        self, share: float, burst_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._share, self._burst_s, self._clock = share, burst_s, clock
        self._saved, self._counted = burst_s, clock()

    @property
    def left(self) -> float:
        """Seconds that may be spent now; below 0 after work that took longer than there was."""
        now = self._clock()
        earned = self._share * (now - self._counted)
        self._saved, self._counted = min(self._burst_s, self._saved + earned), now
        return self._saved

    def spend(self, seconds: float) -> None:
        """Take off what work has taken."""
        self._saved -= seconds
