"""The flamegraph: a canvas that stays quick with a million nodes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.frames.allocations import MEANINGS
from workbench.frames.flame import BYTES, TIME, FlameTree, flame_tree
from workbench.frames.losses import shortcomings
from workbench.frames.stacks import COUNT, Start, default_weight
from workbench.views import html, units
from workbench.views.payload import payload
from workbench.views.tables import banner, table
from workbench.views.view import View

if TYPE_CHECKING:
    from workbench.recording import Recording

MODULE = "flamegraph.js"
FALLBACK_ROWS = 10
WHAT = {
    "blocked": "time blocked",
    "runnable": "time waiting for a CPU",
    "waited": "time waiting for locks",
}
"""Titles of flamegraphs by what is summed."""


class Flamegraph(View):
    """An interactive flamegraph for notebooks and for files.

    It shows itself in a notebook without the widget manager; :meth:`widget` returns the same
    view as a widget whose zoom and search Python can read and set.

    Parameters
    ----------
    tree : FlameTree
        What to draw, see :func:`workbench.frames.flame.flame_tree`.
    title : str
        Shown above.
    icicle : bool
        Callers on top instead of below.
    notice : str
        A sentence that is shown prominently above the graph: that events were lost, or
        that stacks are incomplete.
    height : int
        Greatest height in CSS pixels; deeper trees scroll.
    search : str
        Regular expression (JavaScript's) that is highlighted at first.
    """

    def __init__(
        self,
        tree: FlameTree,
        *,
        title: str = "",
        icicle: bool = False,
        notice: str = "",
        height: int = 560,
        search: str = "",
    ) -> None:
        self.tree = tree
        self.title = title
        self.icicle = icicle
        self.notice = notice
        self.height = height
        self.search = search

    @classmethod
    def of(
        cls,
        rec: Recording,
        kind: str = "cpu",
        by: Sequence[str] = ("comm",),
        weight: str = "",
        stack: str = "stack_id",
        start: Start = "",
        **options: Any,
    ) -> Flamegraph:
        """Draw a recording; say so when it lost events, or some stacks are incomplete.

        Parameters
        ----------
        rec, kind, by, weight, stack, start
            See :func:`workbench.frames.flame.flame_tree`.
        **options
            As of the class.

        Raises
        ------
        MissingTableError
            The recording has no stacks of that kind.
        """
        tree = flame_tree(rec, kind, by, weight, stack, start)
        options.setdefault("title", _title(rec, kind, tree, weight, stack))
        options.setdefault("notice", shortcomings(rec, kind))
        return cls(tree, **options)

    @cached_property
    def _payload(self) -> bytes:
        return payload(self.tree)

    def _state(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "icicle": self.icicle,
            "notice": self.notice,
            "height": self.height,
            "search": self.search,
            "focus": 0,
        }

    def fragment(self) -> str:
        """Return the view as a piece of HTML that needs nothing else."""
        return html.fragment(MODULE, self._state(), {"payload": self._payload}, self._fallback())

    def __repr__(self) -> str:
        total = units.amount(self.tree.total, self.tree.unit)
        return f"<Flamegraph of {total}, {len(self.tree):,} nodes>"

    def widget(self) -> Any:
        """Return the view as an anywidget.

        Its traits ``focus`` (index of the zoomed node), ``search`` (regular expression) and
        ``icicle`` are synchronised both ways.
        """
        return _widget_class()(payload=self._payload, **self._state())

    def _fallback(self) -> str:
        """Return the functions with the most self weight, for pages that run no scripts."""
        tree = self.tree
        weight = np.bincount(tree.name, weights=tree.self, minlength=len(tree.names))
        top = [node for node in np.argsort(-weight, kind="stable")[:FALLBACK_ROWS] if weight[node]]
        rows = (
            (
                tree.names[name],
                units.amount(weight[name], tree.unit).removesuffix(f" {tree.unit}"),
                units.share(weight[name] / tree.total),
            )
            for name in top
        )
        caption = (
            f"{self.title or 'Flamegraph'}: {units.amount(tree.total, tree.unit)}. The graph "
            "itself needs scripts (in a notebook: trust it). Functions with most of their own:"
        )
        head = ("function", "self", "share")
        return banner(self.notice) + table(head, rows, numeric=(1, 2), wide=(0,), caption=caption)


def _title(rec: Recording, kind: str, tree: FlameTree, weight: str, stack: str) -> str:
    weight = weight or default_weight(rec, kind)
    values = rec.manifest.kinds.get(kind, {}).get("values")
    if values and weight != COUNT:  # of an imported profile
        return f"{kind}: {weight}"
    if tree.unit == BYTES:
        return f"{kind}: {MEANINGS[weight]}"
    if tree.unit != TIME:
        return f"{kind}: stacks by weight"
    what = WHAT.get(weight)
    whose = ", by the stack that woke" if stack != "stack_id" else ""
    return f"{kind}: {what or 'time off the CPU'}{whose}"


@cache
def _widget_class() -> type:
    """Return the widget class; made on first use because ipywidgets is slow to import."""
    import anywidget
    import traitlets

    class FlamegraphWidget(anywidget.AnyWidget):
        """The flamegraph with synchronised traits, see :meth:`Flamegraph.widget`."""

        _esm = html.bundle(MODULE)
        _css = html.css()
        payload = traitlets.Bytes().tag(sync=True)
        title = traitlets.Unicode().tag(sync=True)
        notice = traitlets.Unicode().tag(sync=True)
        height = traitlets.Int(560).tag(sync=True)
        icicle = traitlets.Bool(False).tag(sync=True)
        search = traitlets.Unicode().tag(sync=True)
        focus = traitlets.Int(0).tag(sync=True)

    return FlamegraphWidget
