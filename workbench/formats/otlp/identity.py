"""Identifiers of traces and spans: hashes of the session and of what the span stands for.

The same row has the same identifier in every export, whatever is selected, so that a receiver
that gets it twice can tell. Hashing mixes whole columns with the finaliser of SplitMix64
(Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from workbench.store.manifest import Manifest

Ids = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)


def session_id(manifest: Manifest) -> bytes:
    """Return 16 bytes that tell a session: host, boot, start, target and kinds.

    A session that is exported while it is being recorded and again at its end has one identifier.
    """
    facts = [
        manifest.host.get("boot_id", ""),
        manifest.host.get("node", ""),
        manifest.start_ns,
        manifest.target,
        list(manifest.kinds),
    ]
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).digest()[:16]


def seed_of(session: bytes, what: str) -> np.uint64:
    """Return the number that hashes of one sort of span begin with."""
    digest = hashlib.sha256(session + what.encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "big"))


def hashed(seed: np.uint64, *columns: Any) -> Ids:
    """Return a 64-bit hash of each row, never 0 (which OTLP takes for no identifier).

    Parameters
    ----------
    seed : numpy.uint64
        Of :func:`seed_of`.
    *columns : array of int
        Equally long.
    """
    with np.errstate(over="ignore"):
        state: Any = seed
        for values in columns:
            array = np.asarray(values)
            signed = array.dtype.kind == "i"
            number = array.astype(np.int64).view(np.uint64) if signed else array.astype(np.uint64)
            state = _mixed((state ^ _mixed(number + _GOLDEN)) + _GOLDEN)
    found: Ids = np.atleast_1d(state)
    return np.where(found == 0, np.uint64(1), found)


def _mixed(values: Any) -> Any:
    values = (values ^ (values >> np.uint64(30))) * _M1
    values = (values ^ (values >> np.uint64(27))) * _M2
    return values ^ (values >> np.uint64(31))


def profile_id(session: bytes, kind: str, part: int = 0) -> bytes:
    """Return the 16 bytes that name a profile, or a further part of it."""
    text = f"profile {kind}" + (f" {part}" if part else "")
    return hashlib.sha256(session + text.encode()).digest()[:16]
