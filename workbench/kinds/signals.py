"""Signals: who sends which to whom, what becomes of them, how long they wait."""

from __future__ import annotations

from workbench.kinds._kind import CaptureKind, Parameter

KIND = CaptureKind(
    name="signals",
    answers="Which signals go from whom to whom, what becomes of them, how long do they wait?",
    cost="0.4 µs a signal and 0.3 µs its delivery; with stacks 8 µs each (Python)",
    probes=("tp_btf/signal_generate", "tp_btf/signal_deliver"),
    parameters=(Parameter("stacks", False, "take the stack of the sender, and of the receiver"),),
    ring_bytes=1 << 21,
    stacks="stacks",
)
