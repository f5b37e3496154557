"""The eBPF workbench: capture what a program does, as dataframes and flamegraphs.

::

    kernel                recorder (own process)        anyone, anywhere, no privilege
    bpf/KIND.bpf.c  ──►   drain in bulk, Arrow    ──►   session  ──►  frames ─► views, formats

>>> import workbench as wb
>>> session = wb.capture(["cpu", "syscalls"], command="ls -lR /usr")   # doctest: +SKIP
>>> session.flamegraph()                                                # doctest: +SKIP
>>> session.sql("select name, count(*) from syscalls group by name")    # doctest: +SKIP

The names below are loaded at first use: importing the package takes milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from workbench._version import __version__
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench import kinds as kinds
    from workbench.cells.cell import bpf as bpf
    from workbench.client import capture as capture
    from workbench.diagnosis import doctor as doctor
    from workbench.own_probes import probe as probe
    from workbench.profiling import profile as profile
    from workbench.recorder_process import prepare as prepare
    from workbench.session import Session as Session
    from workbench.session import load_profile as load
    from workbench.session import open_session as open

_LAZY = {
    "bpf": ("workbench.cells.cell", "bpf"),
    "capture": ("workbench.client", "capture"),
    "doctor": ("workbench.diagnosis", "doctor"),
    "probe": ("workbench.own_probes", "probe"),
    "load": ("workbench.session", "load_profile"),
    "open": ("workbench.session", "open_session"),
    "prepare": ("workbench.recorder_process", "prepare"),
    "profile": ("workbench.profiling", "profile"),
    "Session": ("workbench.session", "Session"),
    # What `%load_ext workbench` and `%unload_ext workbench` call.
    "load_ipython_extension": ("workbench.magics", "load_ipython_extension"),
    "unload_ipython_extension": ("workbench.magics", "unload_ipython_extension"),
}
__all__ = [
    "Session",
    "WorkbenchError",
    "__version__",
    "bpf",
    "capture",
    "doctor",
    "kinds",
    "load",
    "open",
    "prepare",
    "probe",
    "profile",
]


def __getattr__(name: str) -> Any:
    if name == "kinds":  # the package is callable
        return importlib.import_module("workbench.kinds")
    if name not in _LAZY:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
