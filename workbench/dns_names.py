"""Names as DNS messages carry them → texts, all rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_LABEL = 63
"""Bytes of a label, RFC 1035, 2.3.4."""
_DOT, _BACKSLASH = ord("."), ord("\\")


def name_texts(raw: NDArray[np.uint8]) -> Any:
    r"""Return names with dots between their labels: ``www.example.org``; the root is ``.``.

    Parameters
    ----------
    raw : uint8 array of shape (n, size)
        Labels, each behind its length, up to an empty one (RFC 1035, 3.1). Any bytes are taken: a
        name ends at the first length that is none. ``size`` is 2 or more.

    Returns
    -------
    pyarrow.StringArray
        Of length n. Dots and backslashes within a label are escaped as ``\.`` and ``\\``, bytes
        that are no printable ASCII as ``\DDD`` (RFC 4343, 2.1). Case stays as it is.
    """
    import pyarrow as pa

    rows = np.ascontiguousarray(raw)
    whole = rows.view(f"V{rows.shape[1]}")[:, 0]
    values, codes = np.unique(whole, return_inverse=True)
    unique = values.view(np.uint8).reshape(len(values), rows.shape[1])
    return pa.array(_texts(unique), pa.string()).take(pa.array(codes.astype(np.int32)))


def _texts(names: NDArray[np.uint8]) -> list[str]:
    lengths, inside = _structure(names)
    special = inside & ((names < 0x21) | (names > 0x7E) | (names == _DOT) | (names == _BACKSLASH))
    plain = np.where(lengths, np.uint8(_DOT), np.where(inside, names, np.uint8(0)))
    plain[special] = ord("?")
    # The length of the first label stands before the text.
    made = [text.decode("ascii") or "." for text in _joined(plain[:, 1:])]
    for row in np.flatnonzero(special.any(axis=1)).tolist():
        made[row] = _escaped(names[row], lengths[row], inside[row])
    return made


def _joined(texts: NDArray[np.uint8]) -> list[bytes]:
    found: list[bytes] = np.ascontiguousarray(texts).view(f"S{texts.shape[1]}")[:, 0].tolist()
    return found


def _structure(names: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which bytes are lengths of labels that are not empty, and which are in a label."""
    lengths, inside = np.zeros(names.shape, bool), np.zeros(names.shape, bool)
    left = np.zeros(len(names), np.int64)  # bytes of the label
    going = np.ones(len(names), bool)
    for at in range(names.shape[1]):
        now = names[:, at]
        inside[:, at] = going & (left > 0)
        begins = going & (left == 0)
        going &= ~begins | ((now > 0) & (now <= MAX_LABEL))
        lengths[:, at] = begins & going
        left = np.where(lengths[:, at], now, left - 1)
        if not going.any():
            break
    return lengths, inside


def _escaped(name: NDArray[np.uint8], lengths: NDArray[np.bool_], inside: NDArray[np.bool_]) -> str:
    parts = []
    for byte, length, within in zip(name[1:], lengths[1:], inside[1:], strict=True):
        if length:
            parts.append(".")
        elif within:
            parts.append(_character(int(byte)))
    return "".join(parts)


def _character(byte: int) -> str:
    if byte in (_DOT, _BACKSLASH):
        return f"\\{byte:c}"
    return f"{byte:c}" if 0x20 < byte < 0x7F else f"\\{byte:03d}"
