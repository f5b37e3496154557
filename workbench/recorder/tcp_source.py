"""TCP connections: sockets that are open at the start and at the end, and the kernel's reasons."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from workbench.batch import Batcher, named
from workbench.network_names import REASONS
from workbench.probe.tracepoints import argument_count, enum_values
from workbench.recorder.tables import AggregateSource, EventSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.recorder.processes import ProcessTable
    from workbench.recorder.source import KindSetup, Setup

_LISTS = "iter/task_file"
_BEFORE, _AFTER = "before", "after"
_VARIANTS = {
    # program: (tracepoint, fewest and most arguments that the kernel may give it)
    "reset_sent_with_reason": ("tcp_send_reset", 3, 99),
    "reset_sent": ("tcp_send_reset", 1, 2),
    "dropped_for": ("kfree_skb", 4, 99),
    "dropped": ("kfree_skb", 3, 3),
    "sent": ("sock_send_length", 1, 99),
    "received": ("sock_recv_length", 1, 99),
    "congestion_changed": ("tcp_cong_state_set", 2, 99),
}
_RESET, _DROP = 0x100, 0x200  # enum wb_reason


class _Tcp(EventSource):
    """What both have in common: programs that fit this kernel, and lists of what is open."""

    def _set_up(self, setup: Setup, settings: Mapping[str, Any], watermark: int) -> None:
        super()._set_up(setup, settings, watermark)
        for name, (tracepoint, fewest, most) in _VARIANTS.items():
            if not fewest <= argument_count(tracepoint) <= most:
                self.object.programs[name].leave_out()
                del self.object.programs[name]

    def attach(self, hz: int = 0) -> None:  # noqa: ARG002 - it has no clock
        """Attach, then note the sockets that the target has already."""
        lists = {n: p for n, p in self.object.programs.items() if p.section == _LISTS}
        for name, program in self.object.programs.items():
            if name not in lists:
                self.object.attach(program)
        lists[_BEFORE].run_iterator()

    def finish(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Report the connections that are open, and drain."""
        self.object.programs[_AFTER].run_iterator()
        return super().finish(processes, now)


class TcpSource(_Tcp):
    """The kind ``tcp``, as events."""

    def __init__(self, wanted: KindSetup) -> None:
        super().__init__(wanted)
        encoders = {"wb_reason": partial(named, texts=reasons())}
        self._batcher = Batcher(self.layout, self.schema, self._offset, encoders)


class TcpAggregateSource(_Tcp, AggregateSource):
    """The kind ``tcp``, counted in the kernel."""


def reasons() -> tuple[str, ...]:
    """Names of ``enum wb_reason``: the workbench's own, then those of the running kernel."""
    texts = [REASONS[-1]] * (_DROP + 0x101)
    texts[: len(REASONS) - 1] = REASONS[:-1]
    for first, enum, prefix in (
        (_RESET, "sk_rst_reason", "SK_RST_REASON_"),
        (_DROP, "skb_drop_reason", "SKB_DROP_REASON_"),
    ):
        for name, value in enum_values(enum).items():
            if 0 <= value < 0x100:
                short = name.removeprefix(prefix).removeprefix("SKB_")
                texts[first + value] = short.lower()
    return tuple(texts)
