"""What of a session is exported: a window of time, processes, threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import ipywidgets

from workbench.export_panel.choices import choices
from workbench.export_panel.look import WIDE, field, note, show
from workbench.part import Part, part_of
from workbench.recording import Recording
from workbench.views.html import escape

_STEPS = 1000
_SHORTEST = 1e-5
"""Seconds of a session below which there is no time to choose: profiles without times have 0."""
_ROWS = 5
_CHOSEN = ("pid", "comm")


class PartForm:
    """Widgets for a part of a session; what the session's own selection says is their start.

    Parameters
    ----------
    rec : Recording
        Its conditions in polars or SQL stay as they are.
    changed : callable
        Called when something was changed.
    """

    def __init__(self, rec: Recording, changed: Callable[[], object]) -> None:
        self._changed = changed
        selection = rec.selection
        self.base = rec.whole
        for expression in selection.expressions:
            self.base = self.base.where(expr=expression)
        self.expressions = selection.expressions
        self._start = part_of(replace(selection, expressions=()), rec.manifest.start_ns)
        where = dict(self._start.where)
        found = choices(self.base)
        self._time = self._slider(rec)
        self._pids = self._list("Processes", found.pids, where.get("pid", ()))
        names = ((name or "(no name)", name) for name in found.comms)
        self._comms = self._list("Threads", names, where.get("comm", ()))
        self._others = tuple((c, v) for c, v in self._start.where if c not in _CHOSEN)
        lists = ipywidgets.HBox([self._pids, self._comms])
        lists.add_class("wb-export-row")
        show(lists, bool(found.pids))
        show(self._time, timed := self.base.duration.total_seconds() > _SHORTEST)
        hint = "" if timed else "It has neither times nor processes to choose from. "
        if found.pids:
            hint = "Nothing marked: all. Ctrl or Shift marks several."
        self.widget = ipywidgets.VBox([self._time, lists, note(hint + self._kept())])

    @property
    def part(self) -> Part:
        """What is chosen now."""
        pairs = [("pid", self._pids.value), ("comm", self._comms.value)]
        given = tuple((column, tuple(values)) for column, values in pairs if values)
        return Part(window=self._window(), where=(*given, *self._others))

    def _window(self) -> tuple[str, str]:
        """Return the ends; untouched they are those of the session, to the nanosecond."""
        if self._time.value == self._first:
            return self._start.window
        low, high = self._time.value
        digits = max(1, -math.floor(math.log10(self._time.step)))
        return (
            "" if low <= self._time.min else f"{low:.{digits}f}",
            "" if high >= self._time.max else f"{high:.{digits}f}",
        )

    def _slider(self, rec: Recording) -> ipywidgets.FloatRangeSlider:
        length = max(self.base.duration.total_seconds(), 1e-6)
        step = 10.0 ** math.floor(math.log10(length / _STEPS))
        most = math.ceil(length / step) * step
        origin, selection = rec.manifest.start_ns, rec.selection
        low = 0.0 if selection.start is None else (selection.start - origin) / 1e9
        high = most if selection.stop is None else (selection.stop - origin) / 1e9
        slider = field(
            ipywidgets.FloatRangeSlider,
            "Time, s",
            min=0.0,
            max=most,
            step=step,
            value=(min(max(low, 0.0), most), min(max(high, 0.0), most)),
            readout_format=f".{max(0, -math.floor(math.log10(step)))}f",
            continuous_update=False,
            layout=ipywidgets.Layout(**WIDE),
        )
        self._first = slider.value
        slider.observe(self._tell, "value")
        return slider

    def _list(
        self, label: str, options: Iterable[tuple[str, str]], chosen: Iterable[str]
    ) -> ipywidgets.SelectMultiple:
        known = list(options)
        known += [(each, each) for each in chosen if each not in {value for _, value in known}]
        made = field(
            ipywidgets.SelectMultiple, label, options=known, value=tuple(chosen), rows=_ROWS
        )
        made.observe(self._tell, "value")
        return made

    def _kept(self) -> str:
        """Say what the session's selection has besides."""
        words = [f"{column} = {', '.join(values[:4])}" for column, values in self._others]
        words += [f"condition {expression}" for expression in self.expressions]
        return f"<br>As in the selection: {escape('; '.join(words))}" if words else ""

    def _tell(self, _: object) -> None:
        self._changed()
