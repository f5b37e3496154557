"""A network of two hosts within this one: namespaces, joined by a veth pair, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ONE, TWO = "10.77.0.1", "10.77.0.2"
"""Addresses of the two hosts."""


@dataclass(frozen=True)
class Hosts:
    """Two network namespaces; ``one`` and ``two`` are their names."""

    one: str
    two: str

    def inside(self, name: str) -> list[str]:
        """Start of a command that is to run on one of them."""
        return ["ip", "netns", "exec", name]

    def classify(self, program: Path) -> None:
        """Give what arrives at the second host to a BPF classifier, section ``tc``."""
        into = ["tc", "-n", self.two]
        run(*into, "qdisc", "add", "dev", "veth0", "clsact")
        run(*into, "filter", "add", "dev", "veth0", "ingress", "bpf", "direct-action",
            "object-file", program, "section", "tc")  # fmt: skip


def run(*command: object) -> str:
    """Run a command; return what it prints."""
    done = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True)
    return done.stdout


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Two hosts, ``ONE`` and ``TWO``, that reach each other; skips where there can be none."""
    if shutil.which("ip") is None:
        pytest.skip("iproute2 is not installed")
    if os.geteuid():
        pytest.skip("only root makes network namespaces")
    hosts = Hosts(f"wb{os.getpid()}a", f"wb{os.getpid()}b")
    try:
        for name in (hosts.one, hosts.two):
            run("ip", "netns", "add", name)
        run("ip", "-n", hosts.one, "link", "add", "veth0", "type", "veth",
            "peer", "name", "veth0", "netns", hosts.two)  # fmt: skip
        for name, address in ((hosts.one, ONE), (hosts.two, TWO)):
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "veth0")
            for device in ("lo", "veth0"):
                run("ip", "-n", name, "link", "set", device, "up")
        yield hosts
    finally:
        for name in (hosts.one, hosts.two):  # the devices and their filters go with them
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
