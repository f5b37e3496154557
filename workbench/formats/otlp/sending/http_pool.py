"""Connections of HTTP that are kept, go through a proxy where there is one, and can be cut."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection

from workbench.formats.otlp.sending.proxies import proxy_for
from workbench.formats.otlp.sending.settings import Destination
from workbench.formats.otlp.sending.tls import context


class Connections:
    """The open connections to one receiver.

    Parameters
    ----------
    destination : Destination
        Where to.
    most : int
        How many are kept.

    Attributes
    ----------
    pool : urllib3.HTTPConnectionPool
    target : str
        What a request asks for: the path; the whole URL of a proxy that is not a tunnel.

    Raises
    ------
    DestinationError
        The certificates or the proxy cannot be used.
    """

    def __init__(self, destination: Destination, most: int) -> None:
        self._aborted = threading.Event()
        self._open: set[HTTPConnection] = set()
        self._own = threading.local()
        url = urlsplit(destination.url)
        options: dict[str, Any] = {"maxsize": most, "retries": False}
        if destination.secure:
            options["ssl_context"] = context(destination)
        proxy = proxy_for(destination.url)
        if proxy is not None:
            through = urllib3.ProxyManager(proxy, proxy_headers=_credentials(proxy), **options)
            self.pool = through.connection_from_url(destination.url)
        else:
            kind = urllib3.HTTPSConnectionPool if destination.secure else urllib3.HTTPConnectionPool
            self.pool = kind(url.hostname or "", url.port, **options)
        self.target = url.path + (f"?{url.query}" if url.query else "")
        if proxy is not None and not destination.secure:
            self.target = destination.url
        self.pool.ConnectionCls = self._noted(self.pool.ConnectionCls)

    def _noted(self, base: Any) -> Any:
        """Return a class of connections that can be cut from another thread."""
        every = self

        class Noted(base):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()
                every._open.add(self)
                if every._aborted.is_set():
                    raise ConnectionAbortedError("cancelled")

            def request(self, *arguments: Any, **options: Any) -> None:
                every._own.connection = self
                super().request(*arguments, **options)

            def close(self) -> None:
                every._open.discard(self)
                super().close()

        return Noted

    def deadline(self, seconds: float | None) -> Deadline:
        """Return what ends an attempt of this thread after so many seconds in all."""
        self._own.connection = None
        return Deadline(self._own, seconds)

    def abort(self) -> None:
        """Cut all connections; those that are made from now on are cut, too."""
        self._aborted.set()
        for connection in list(self._open):
            cut(connection)

    def close(self) -> None:
        """Close all that no attempt uses."""
        self.pool.close()


class Deadline:
    """A limit of a whole attempt: the time-outs of sockets begin anew with every byte that comes.

    Parameters
    ----------
    own : threading.local
        Its ``connection`` is the one that this thread uses.
    seconds : float or None
        None: no limit.

    Attributes
    ----------
    passed : bool
        The connection was cut.
    """

    def __init__(self, own: Any, seconds: float | None) -> None:
        self.passed = False
        self._own = own.__dict__  # that of this thread, for the timer's
        self._lock = threading.Lock()
        self._ended = False
        self._timer = None if seconds is None else threading.Timer(seconds, self._pass)

    def _pass(self) -> None:
        with self._lock:  # so that no later attempt on this connection is cut
            connection = self._own.get("connection")
            if not self._ended and connection is not None:
                self.passed = True
                cut(connection)

    def __enter__(self) -> Deadline:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._ended = True
        if self._timer is not None:
            self._timer.cancel()


def cut(connection: HTTPConnection) -> None:
    """End what another thread reads or writes; closing the socket would not."""
    sock = connection.sock
    try:
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it was closed meanwhile


def _credentials(proxy: str) -> dict[str, str]:
    """Return the header for the user and the password of a proxy's URL."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    user, password = unquote(parts.username), unquote(parts.password or "")
    return dict(urllib3.make_headers(proxy_basic_auth=f"{user}:{password}"))
