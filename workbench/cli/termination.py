"""SIGTERM as Ctrl-C: what was begun is cleaned up before the command ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EXIT_CODE = 128 + signal.SIGTERM
"""What a shell says of a process that SIGTERM has ended."""


@contextmanager
def cleaning_up() -> Iterator[None]:
    """End what runs inside with ``SystemExit(143)`` when SIGTERM arrives; also a decorator.

    A signal that arrives while a library computes takes effect when that is back in Python. In
    other threads than the main one, and where SIGTERM is ignored or handled already, nothing
    changes.

    Raises
    ------
    SystemExit
        SIGTERM arrived.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    arrived = False

    def end(_number: int, _frame: Any) -> None:
        nonlocal arrived
        if not arrived:  # a second one does not interrupt the cleaning
            arrived = True
            raise SystemExit(EXIT_CODE)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    except BaseException as error:
        if arrived and not isinstance(error, SystemExit):  # a library made something else of it
            raise SystemExit(EXIT_CODE) from error
        raise
    else:
        if arrived:  # or took it for nothing
            raise SystemExit(EXIT_CODE)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
