"""IP addresses as the programs send them, 16 bytes each → texts."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def address_texts(raw: NDArray[np.uint8]) -> Any:
    """Return addresses as people write them: ``192.0.2.1``, ``2001:db8::1`` (RFC 5952).

    Parameters
    ----------
    raw : uint8 array of shape (n, 16)
        IPv6 addresses in network order, IPv4 ones as ``::ffff:a.b.c.d`` (RFC 4291, 2.5.5.2).

    Returns
    -------
    pyarrow.StringArray
        Of length n. Each address that occurs is converted once.
    """
    import pyarrow as pa

    packed = np.ascontiguousarray(raw).reshape(-1, 16).view("V16")[:, 0]
    values, codes = np.unique(packed, return_inverse=True)
    texts = pa.array([_text(bytes(value)) for value in values.tolist()], pa.string())
    return texts.take(pa.array(codes.astype(np.int32)))


def _text(packed: bytes) -> str:
    address = ipaddress.IPv6Address(packed)
    return str(address.ipv4_mapped or address)
