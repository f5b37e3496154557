"""Headers for requests, as ``OTEL_EXPORTER_OTLP_HEADERS`` writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from workbench.errors import DestinationError

# RFC 7230, section 3.2.6: what the name of a header is made of.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def parse(text: str) -> dict[str, str]:
    """Read ``key1=value1,key2=value2`` with percent-encoded values.

    The form is that of W3C Baggage without metadata after ``;``, which stays part of the value.

    Raises
    ------
    DestinationError
        A part has no ``=``, a name is none of HTTP, or a value has control characters. The text
        of the error names no value: they tend to be secret.
    """
    headers = {}
    for number, part in enumerate(text.split(","), 1):
        if not part.strip():
            continue  # "a=1,,b=2" and a comma at the end do no harm
        name, found, value = part.partition("=")
        if not found:
            raise DestinationError(
                f"Header {number} of the headers has no '='.",
                advice="Write key=value,key=value; a comma within a value is %2C.",
            )
        headers[name.strip()] = unquote(value.strip())
    return checked(headers)


def checked(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with lower-case names, as gRPC demands and HTTP permits.

    Raises
    ------
    DestinationError
        A name is none of HTTP, or a value is not printable ASCII.
    """
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise DestinationError(f"{name!r} is no name of a header.")
        if not value.isascii() or not all(c.isprintable() or c == "\t" for c in value):
            raise DestinationError(
                f"The value of the header {name!r} is not printable ASCII.",
                advice="Send what it stands for as base64, or correct it.",
            )
    return {name.lower(): value for name, value in headers.items()}
