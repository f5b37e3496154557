"""Texts as the programs send them, arrays of bytes that end in NUL → strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def byte_texts(raw: NDArray[np.uint8]) -> Any:
    r"""Return texts, each cut at its first NUL.

    Parameters
    ----------
    raw : uint8 array of shape (n, size)
        UTF-8; other bytes become ``\xNN``, and backslashes ``\\``, so that different texts stay
        different.

    Returns
    -------
    pyarrow.StringArray
        Of length n. Each text that occurs is converted once.
    """
    import pyarrow as pa

    rows = np.ascontiguousarray(raw)
    rows = np.where(np.logical_and.accumulate(rows != 0, axis=1), rows, np.uint8(0))
    whole = np.ascontiguousarray(rows).view(f"S{rows.shape[1]}")[:, 0]
    values, codes = np.unique(whole, return_inverse=True)
    plain = [value.replace(b"\\", b"\\\\") for value in values.tolist()]
    texts = [value.decode("utf-8", "backslashreplace") for value in plain]
    return pa.array(texts, pa.string()).take(pa.array(codes.astype(np.int32)))
