"""Set-up of the guest's tests: they trace only what they start, and leave nothing behind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest


def loaded() -> dict[str, set[int]]:
    """Ids of all programs, maps and links, as bpftool lists them."""
    found = {}
    for what in ("prog", "map", "link"):
        done = subprocess.run(["bpftool", "-j", what, "list"], check=True, capture_output=True)
        found[what] = {entry["id"] for entry in json.loads(done.stdout or b"[]") or []}
    return found


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail if programs, maps or links are left; nobody else loads any here."""
    before = loaded()
    yield
    left = {what: ids - before[what] for what, ids in loaded().items()}
    assert not any(left.values()), f"left behind: {left}"
