"""Sources of the user's own probes: what to load and attach, and the tables of their events."""

from __future__ import annotations

import platform
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import AttachError, LoadError, NotPermittedError
from workbench.probe import attach, perf_event, privileges
from workbench.probe.layout import Field, Layout, arrow_schema
from workbench.probe.program_info import missed_runs
from workbench.probe.uprobe_multi import Spot
from workbench.probe.uprobes import EVERYWHERE, Uprobes
from workbench.probing import plan as planning
from workbench.probing.columns import arrow_field, dtype_of, values
from workbench.probing.request import Request
from workbench.probing.scopes import scopes
from workbench.recorder.tables import EventSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from workbench.probe.objects import Program
    from workbench.probing.plan import Plan
    from workbench.recorder.source import KindSetup, Setup

HEAD_BYTES = 24  # struct probe_event
STACK_HEAD = ("kernel_depth", "user_depth", "python_depth", "stack_status")
PROGRAMS = {
    # kind of point: programs of its entry and of its return
    **dict.fromkeys(("kprobe", "kretprobe", "uprobe", "uretprobe"), ("on_entry", "on_return")),
    **dict.fromkeys(("fentry", "fexit"), ("on_fentry", "on_fexit")),
    "usdt": ("on_entry", ""),
    "tracepoint": ("on_tracepoint", ""),
    "rawtp": ("on_raw_tracepoint", ""),
    "perf": ("on_event", ""),
}
TRAMPOLINES = {"on_fentry": "fentry", "on_fexit": "fexit"}


def planned(parameters: Mapping[str, Any]) -> Plan:
    """Return the plan of a probe, for this machine and kernel.

    Raises
    ------
    ParameterError, AttachError
    """
    request = Request.of(parameters)
    return planning.make(request, scopes(request.point, platform.machine()))


class OwnProbe(EventSource):
    """Events of a probe."""

    def __init__(self, wanted: KindSetup) -> None:
        parameters, setup = wanted.parameters, wanted.session
        self.plan = planned(parameters)
        self._given = parameters
        self._unreturned = 0
        # Only where nothing but one process is meant do its breakpoints stay out of others.
        target = setup.target
        alone = target is not None and target.pid is not None and not target.follow
        self._pid = target.pid if target is not None and target.pid and alone else EVERYWHERE
        self._uprobes = (
            Uprobes.everywhere() if self._pid == EVERYWHERE else Uprobes.in_one_process()
        )
        first, last = PROGRAMS[self.plan.point.kind]
        self.roles = {first: False} if self.plan.entry else {}
        self.roles |= {last: True} if self.plan.returns else {}
        try:
            super().__init__(wanted)
        except (LoadError, NotPermittedError) as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> Exception:
        point = self.plan.point
        if point.kind not in ("fentry", "fexit") or not privileges.may_load():
            return error
        return attach.refused_tracing(point.kind, point.name, error)

    def _set_up(self, setup: Setup, settings: Mapping[str, Any], watermark: int) -> None:
        super()._set_up(setup, {**settings, **self.plan.settings}, watermark)
        for name, program in self.object.programs.items():
            if name not in self.roles:
                program.leave_out()
            elif name in TRAMPOLINES:
                attach.aim(program, TRAMPOLINES[name], self.plan.point.name)
            elif self.plan.sites:
                self._uprobes.expect(program)
        calls, groups = self.object.maps["calls"], self.object.maps["groups"]
        if self.plan.pair:
            calls.resize_items(calls.key_size, HEAD_BYTES + self.plan.data_bytes)
        else:
            calls.leave_out()
        if self.plan.groups:
            groups.resize(self._given["max_groups"])
            groups.resize_items(self.plan.key_bytes, 8 * self.plan.value_words)
        else:
            groups.leave_out()

    def _read_layout(self) -> Layout:
        return event_layout(self.object.layout("probe_event"), self.plan, stacks=False)

    def _schema(self) -> Any:
        import pyarrow as pa

        own = {each.name: arrow_field(each) for each in self.plan.columns}
        return pa.schema([own.get(f.name, f) for f in arrow_schema(self.layout)])

    def attach(self, hz: int = 0) -> None:  # noqa: ARG002 - the rate is the probe's own
        """Attach its programs: that of the return last, so that it finds what entered."""
        if self.plan.point.path:  # all probes are planned by now
            from workbench.probing import dwarf_types

            dwarf_types.forget()
        for name, returns in self.roles.items():
            try:
                self._attach(self.object.programs[name], returns)
            except (AttachError, NotPermittedError) as error:
                explained = self._explained(error)
                if explained is error:
                    raise
                raise explained from error

    def switch(self, *, on: bool) -> None:
        """Attach again, or detach, while it records; what was counted stays.

        Raises
        ------
        AttachError, NotPermittedError
            What it is put on has gone meanwhile; it stays off.
        """
        self.object.detach()
        if not on:
            return
        # Of calls that began before it was off, the return may have come in between, and another
        # call may be in the same place of the stack now.
        self._unreturned += self._forget_calls()
        try:
            self.attach()
        except BaseException:
            self.object.detach()
            raise

    def _forget_calls(self) -> int:
        if not self.plan.pair:
            return 0
        calls = self.object.maps["calls"]
        keys, _ = calls.items()
        return calls.delete_batch(keys) if len(keys) else 0

    def _attach(self, program: Program, returns: bool) -> None:
        point, hold = self.plan.point, self.object.hold
        if point.path:
            for path in dict.fromkeys(site.path for site in self.plan.sites):
                spots = [
                    Spot(site.offset, site.semaphore, site.variant)
                    for site in self.plan.sites
                    if site.path == path
                ]
                links = self._uprobes.attach(program, path, spots, returns=returns, pid=self._pid)
                for link in links:
                    hold(link)
        elif point.kind in ("kprobe", "kretprobe"):
            function, _, offset = point.name.partition("+")
            hold(attach.kprobe(program, function, offset=int(offset or "0", 0), returns=returns))
        elif point.kind == "tracepoint":
            hold(attach.tracepoint(program, point.group, point.name))
        elif point.kind == "rawtp":
            hold(attach.raw_tracepoint(program, point.name))
        elif point.kind == "perf":
            for cpu in perf_event.online_cpus():
                fd = perf_event.open_event(point.name, cpu, point.rate)
                self.object.attach_perf_event(program, fd)
        else:
            self.object.attach(program)

    def _convert(self, _span: Any, records: NDArray[Any]) -> list[tuple[str, Any]]:
        return [(self.table, self._batcher.batch(records, **values(records, self.plan.columns)))]

    def problems(self) -> list[str]:
        """Return what the kernel did not run, and which calls it did not see return."""
        found = super().problems()
        missed = sum(missed_runs(self.object.programs[name].fd) for name in self.roles)
        if missed:
            found.append(
                f"{self.kind}: the kernel left out {missed:,} runs of the probe, because another "
                "program ran on that CPU; some may have been of the target."
            )
        calls = len(self.object.maps["calls"].items()[0]) if self.plan.pair else 0
        calls += self._unreturned
        if calls:
            when = "when it was switched off, or " if self._unreturned else ""
            found.append(
                f"{self.kind}: {calls:,} calls had not returned {when}at the end, or the kernel "
                "did not report it (it follows 64 nested returns of a thread)."
            )
        return found


def event_layout(head: Layout, plan: Plan, *, stacks: bool) -> Layout:
    """Return the layout of a probe's records: ``struct probe_event``, its fields, a stack."""
    assert head.dtype.fields is not None
    parts = {name: (place[0], place[1]) for name, place in head.dtype.fields.items()}
    fields = list(head.fields)
    for each in plan.columns:
        parts[each.name] = dtype_of(each), HEAD_BYTES + each.place
        fields.append(Field(each.name, "", "1", each.value.operand.text, dtype_of(each)))
    size = HEAD_BYTES + plan.sent_bytes
    if stacks:
        for name in STACK_HEAD:
            parts[name] = np.dtype("<u2"), size
            typedef = "wb_stack_status" if name == "stack_status" else ""
            text = "whether the user's part of the stack is whole"
            fields.append(Field(name, typedef, "1", text, np.dtype("<u2")))
            size += 2
    dtype = np.dtype(
        {
            "names": list(parts),
            "formats": [kind for kind, _ in parts.values()],
            "offsets": [place for _, place in parts.values()],
            "itemsize": size,
        }
    )
    tail = ("words", np.dtype("<u8")) if stacks else None
    return replace(head, dtype=dtype, fields=tuple(fields), tail=tail)
