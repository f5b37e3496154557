"""OTLP over gRPC: unary calls that send the bytes of a request as they are."""

from __future__ import annotations

import re
import threading
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from workbench._version import __version__
from workbench.formats.otlp.sending.answer import Answer, Verdict, shorten, speaks_of_size
from workbench.formats.otlp.sending.partial import partial_success
from workbench.formats.otlp.sending.proxies import is_here
from workbench.formats.otlp.sending.retry import GRPC_RETRYABLE
from workbench.formats.otlp.sending.settings import Destination
from workbench.formats.otlp.sending.tls import pem

_OPTIONS = [
    # Retries are ours: they are counted, and nothing is sent twice without being told.
    ("grpc.enable_retries", 0),
    # Connections are not shared between channels: a new channel connects at once, without the
    # back-off of one that failed before.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.primary_user_agent", f"ebpf-workbench/{__version__}"),
    ("grpc.max_send_message_length", -1),  # the receiver's limit counts
]

# What gRPC's C core says when it had no connection, so that nothing was sent.
_UNCONNECTED = re.compile(
    r"failed to connect to all addresses|errors? resolving|DNS resolution failed|"
    r"empty address list|connections to all backends failing",
    re.IGNORECASE,
)
# What it says when a connection went while an answer was waited for: a receiver's own
# UNAVAILABLE has the receiver's text.
_CUT = re.compile(
    r"stream removed|socket closed|connection reset|broken pipe|goaway|rst_stream|recvmsg|"
    r"sendmsg|connection timed out|keepalive|ping timeout|transport closed|endpoint|channel closed|"
    # Proxies: HTTP status without one of gRPC, and Envoy, which lost its own connection.
    r"http2 header with status: 50[24]|reset before headers(?!.*(connection failure|overflow))",
    re.IGNORECASE,
)
# An answer was larger than this side takes: halves of the request would come twice.
_OWN = re.compile(r"CLIENT: Received message larger")
_TLS = re.compile(
    r"ssl_error_ssl|handshake failed|certificate|hostname verification", re.IGNORECASE
)
_TLS_CUT = re.compile(r"handshake failed.*(socket closed|reset|eof|timed? ?out)", re.IGNORECASE)

_HOPELESS = {"UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED"}
_ADVICE = {
    "UNIMPLEMENTED": "The receiver does not take this signal; leave it out, or turn it on there.",
    "UNAUTHENTICATED": "Give the key of the service: headers='authorization=Bearer%20...'.",
    "PERMISSION_DENIED": "The credentials in headers do not permit it.",
    "INVALID_ARGUMENT": "The receiver cannot read the request: is it of its version of OTLP?",
}


class GrpcTransport:
    """The way of one signal to its receiver over gRPC.

    Each thread has a connection of its own, which is made anew when it was lost.

    Parameters
    ----------
    destination : Destination
        Where to.

    Raises
    ------
    DestinationError
        The certificates cannot be used.
    """

    def __init__(self, destination: Destination) -> None:
        self._to = destination
        self._credentials = None
        if destination.secure:
            root, key, chain = pem(destination)
            self._credentials = grpc.ssl_channel_credentials(root, key, chain)
        self._compression = (
            grpc.Compression.Gzip if destination.gzip else grpc.Compression.NoCompression
        )
        self._own = threading.local()
        self._lock = threading.Lock()
        self._channels: set[grpc.Channel] = set()
        self._aborted = False

    def _call(self) -> Any:
        """Return this thread's callable, connected anew where it has to be."""
        if getattr(self._own, "channel", None) is None:
            target, options = self._to.url, [*_OPTIONS]
            if is_here(target.removeprefix("dns:").strip("/").rpartition(":")[0]):
                options.append(("grpc.enable_http_proxy", 0))
            with self._lock:
                if self._aborted:
                    return None
                self._own.channel = (
                    grpc.secure_channel(target, self._credentials, options)
                    if self._credentials
                    else grpc.insecure_channel(target, options)
                )
                self._channels.add(self._own.channel)
            # Without (de)serialisers, bytes go out and come in as they are.
            self._own.call = self._own.channel.unary_unary(self._to.signal.method)
        return self._own.call

    def _drop(self) -> None:
        """Close this thread's channel: the next attempt connects anew."""
        channel, self._own.channel = self._own.channel, None
        with self._lock:
            self._channels.discard(channel)
        channel.close()

    def prepare(self, body: bytes) -> bytes:
        """Return the body; gRPC compresses by itself."""
        return body

    def export(self, payload: bytes, timeout: float | None) -> Answer:
        """Send once."""
        call = self._call()
        if call is None:
            return Answer(Verdict.RETRY, "cancelled", connected=False)
        try:
            content = call(
                payload,
                timeout=timeout,
                metadata=tuple(self._to.headers.items()),
                compression=self._compression,
            )
        except grpc.RpcError as error:
            return self._failed(error)
        except ValueError as error:  # the channel was closed by abort()
            return Answer(Verdict.RETRY, f"cancelled: {error}", connected=False)
        answer = self._to.signal.response()()
        try:
            answer.ParseFromString(content)
        except DecodeError as error:
            return Answer(
                Verdict.REFUSED,
                f"the answer is none of OTLP: {error}",
                advice="Something else listens there: check host and port.",
                hopeless=True,
                lost=True,
            )
        rejected, message = partial_success(self._to.signal, answer)
        return Answer(Verdict.TAKEN, rejected=rejected, message=message)

    def _failed(self, error: Any) -> Answer:
        """Tell what a status means for the request."""
        code, details = error.code().name, error.details() or ""
        wait = _wait(error.trailing_metadata())
        why = f"gRPC {code}: {shorten(details)}"
        if code == "UNAVAILABLE" and wait is None:
            if _UNCONNECTED.search(details):
                self._drop()
                return self._unconnected(details, why)
            if _CUT.search(details):
                self._drop()
                return Answer(Verdict.RETRY, why, advice=self._advice(), lost=True)
        if code in GRPC_RETRYABLE or (code == "RESOURCE_EXHAUSTED" and wait is not None):
            lost = code in {"DEADLINE_EXCEEDED", "CANCELLED"}
            return Answer(Verdict.RETRY, why, wait=wait, lost=lost)
        if code == "RESOURCE_EXHAUSTED" and not _OWN.search(details):
            return Answer(
                Verdict.TOO_LARGE,
                why,
                advice="Make smaller requests, or come back when the quota is renewed.",
                sized=speaks_of_size(details),
            )
        return Answer(
            Verdict.REFUSED,
            why,
            advice=_ADVICE.get(code, ""),
            hopeless=code in _HOPELESS,
            # What this side says of an answer, or of a stream that broke.
            lost=(_OWN.search(details) or _CUT.search(details)) is not None,
        )

    def _unconnected(self, details: str, why: str) -> Answer:
        if _TLS.search(details) and not _TLS_CUT.search(details):
            return Answer(
                Verdict.REFUSED,
                why,
                advice="Check certificate=, client_certificate= and that the port speaks TLS.",
                hopeless=True,
                connected=False,
            )
        return Answer(Verdict.RETRY, why, advice=self._advice(), connected=False)

    def _advice(self) -> str:
        if self._to.url.endswith(":4318"):
            return "Port 4318 is that of OTLP/HTTP: use protocol='http/protobuf', or port 4317."
        return f"See that a receiver of OTLP/gRPC listens at {self._to.url}."

    def abort(self) -> None:
        """Cancel all calls."""
        with self._lock:
            self._aborted = True
            channels = list(self._channels)
        for channel in channels:
            channel.close()

    def close(self) -> None:
        """Close all connections."""
        self.abort()


def _wait(metadata: Any) -> float | None:
    """Return the delay of a ``google.rpc.RetryInfo`` in the details of a status, in seconds."""
    for key, value in metadata or ():
        if key != "grpc-status-details-bin":
            continue
        try:
            for detail in Status.FromString(value).details:
                info = RetryInfo()
                if detail.Is(RetryInfo.DESCRIPTOR) and detail.Unpack(info):
                    return max(0.0, float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9))
        except DecodeError:
            return None  # not a status: nothing was asked for
    return None
