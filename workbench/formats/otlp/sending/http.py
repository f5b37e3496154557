"""OTLP over HTTP: one POST for each request, protobuf or JSON, on kept connections."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

from workbench._version import __version__
from workbench.formats.otlp.sending.answer import Answer, Verdict, shorten
from workbench.formats.otlp.sending.http_answers import JSON, PROTOBUF, answered
from workbench.formats.otlp.sending.http_pool import Connections, Deadline
from workbench.formats.otlp.sending.retry import Clock
from workbench.formats.otlp.sending.settings import Destination
from workbench.formats.otlp.transcoding import json as otlp_json

USER_AGENT = f"ebpf-workbench/{__version__}"
GZIP_LEVEL = 1
"""Spans repeat themselves: level 1 makes them a seventh at four times the speed of level 6."""
MAX_ANSWER = 1 << 20
"""Bytes of an answer that are read: it holds a number and a message."""


class HttpTransport:
    """The way of one signal to its receiver over HTTP/1.1.

    Parameters
    ----------
    destination : Destination
        Where to.
    connections : int
        How many are kept open.
    clock : Clock
        What dates in answers are compared with.

    Raises
    ------
    DestinationError
        The certificates or the proxy cannot be used.
    """

    def __init__(self, destination: Destination, connections: int, clock: Clock) -> None:
        self._to = destination
        self._clock = clock
        self._json = destination.protocol == "http/json"
        self._connections = Connections(destination, connections)
        self._headers = {
            "user-agent": USER_AGENT,
            **destination.headers,
            "content-type": JSON if self._json else PROTOBUF,
        }
        if destination.gzip:
            self._headers["content-encoding"] = "gzip"

    def prepare(self, body: bytes) -> bytes:
        """Return what goes over the network.

        Raises
        ------
        ExportError
            The request cannot be said in JSON.
        """
        if self._json:
            body = otlp_json.encode(self._to.signal, body)
        return gzip.compress(body, GZIP_LEVEL, mtime=0) if self._to.gzip else body

    def export(self, payload: bytes, timeout: float | None) -> Answer:
        """Send once."""
        written = False

        def parts() -> Iterator[bytes]:
            nonlocal written
            yield payload
            written = True  # asked for more: all of it is with the kernel

        with self._connections.deadline(timeout) as deadline:
            try:
                response = self._connections.pool.urlopen(
                    "POST",
                    self._connections.target,
                    body=parts(),
                    headers={**self._headers, "content-length": str(len(payload))},
                    timeout=urllib3.Timeout(total=timeout),
                    redirect=False,
                    assert_same_host=False,  # it is the proxy's, where there is one
                    preload_content=False,
                )
                if response.status < 200:  # what comes after it would be the next request's answer
                    response.close()
                    raise ConnectionAbortedError(f"only HTTP {response.status}")
                content = _read(response)
            except (HTTPError, OSError) as error:
                return self._no_answer(self._late(deadline, timeout) or error, written)
        # What was cut within the headers looks whole: http.client takes the end for theirs.
        if (late := self._late(deadline, timeout)) is not None:
            return self._no_answer(late, written)
        return answered(
            self._to.signal, response.status, response.headers, content, self._clock.wall()
        )

    @staticmethod
    def _late(deadline: Deadline, timeout: float | None) -> TimeoutError | None:
        return (
            TimeoutError(f"timed out after {timeout:g} s") if deadline.passed and timeout else None
        )

    def _no_answer(self, error: Exception, written: bool) -> Answer:
        """Tell what an exception means for the request."""
        cause = _root(error)
        advice = self._advice()
        if isinstance(error, (NewConnectionError, ConnectTimeoutError)):
            return Answer(
                Verdict.RETRY, f"no connection: {_text(error)}", advice=advice, connected=False
            )
        if isinstance(error, SSLError) or isinstance(cause, ssl.SSLError):
            # An end in the middle of the handshake may be a restart; the rest will not change.
            sure = not isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
            return Answer(
                Verdict.REFUSED if sure else Verdict.RETRY,
                f"TLS: {_text(error)}",
                advice="Check certificate=, client_certificate= and that the port speaks TLS.",
                hopeless=sure,
                connected=False,
                lost=written,
            )
        return Answer(Verdict.RETRY, f"no answer: {_text(error)}", advice=advice, lost=written)

    def _advice(self) -> str:
        if urlsplit(self._to.url).port == 4317:
            return "Port 4317 is that of OTLP/gRPC: use protocol='grpc', or port 4318."
        return f"See that a receiver of OTLP/HTTP listens at {self._to.url}."

    def abort(self) -> None:
        """Cut all connections."""
        self._connections.abort()

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    """Return the body of an answer, which may not grow without end."""
    content = bytearray()
    try:
        while part := response.read1(1 << 16):
            content += part
            if len(content) > MAX_ANSWER:
                response.close()  # the connection cannot be used again
                break
    finally:
        response.release_conn()
    return bytes(content)


def _root(error: BaseException) -> BaseException:
    """Return the first cause of an exception of urllib3."""
    for argument in error.args:
        if isinstance(argument, Exception):
            return _root(argument)
    following = error.__cause__ or error.__context__
    return _root(following) if following is not None else error


def _text(error: Exception) -> str:
    """Return what happened, without the object at address that urllib3 puts before it."""
    text = str(_root(error)) or type(error).__name__
    return shorten(text.rpartition(">: ")[2] if text.startswith("<") else text)
