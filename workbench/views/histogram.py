"""The latency histogram: a Bokeh figure without data, and BokehJS to show it offline."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from workbench.views.html import pack
from workbench.views.units import duration

DECADES = range(14)
"""Ticks at 10^0 to 10^13 ns (three hours)."""

CALLS, LINE = "#4f97d1", "#c2187a"


@cache
def bokeh_js() -> bytes:
    """Return BokehJS, the core only, as gzip (0.35 MB)."""
    import bokeh

    script = Path(bokeh.__file__).parent / "server/static/js/bokeh.min.js"
    return pack(script.read_bytes())


def bokeh_version() -> str:
    """Return the version under which BokehJS registers itself."""
    import bokeh

    return str(bokeh.__version__).split("+")[0]


def histogram_item() -> dict[str, Any]:
    """Return an empty histogram as JSON for ``Bokeh.embed.embed_item``.

    ``static/latency.js`` fills the source named "calls", moves the range and the lines named
    "p50" and "p99", and sets colours as the theme wants them.
    """
    from bokeh.embed import json_item
    from bokeh.models import (
        ColumnDataSource,
        FixedTicker,
        HoverTool,
        NumeralTickFormatter,
        Range1d,
        Span,
    )
    from bokeh.plotting import figure

    plot = figure(
        height=250,
        sizing_mode="stretch_width",
        x_axis_type="log",
        x_range=Range1d(1, 1e9),
        y_range=Range1d(0, 1),
        toolbar_location=None,
        tools="",
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        min_border_right=18,
        name="wb-plot",
    )
    columns = ("left", "right", "calls", "range", "count", "share")
    source = ColumnDataSource({column: [] for column in columns}, name="wb-calls")
    bars = plot.quad(
        left="left", right="right", top="calls", bottom=0, source=source,
        fill_color=CALLS, line_color=None, hover_fill_color=LINE,
    )  # fmt: skip
    plot.add_tools(
        HoverTool(
            renderers=[bars],
            tooltips=[("latency", "@range"), ("calls", "@count"), ("share", "@share")],
            point_policy="follow_mouse",
        )
    )
    for name, dash in (("p50", "solid"), ("p99", "dashed")):
        plot.add_layout(
            Span(dimension="height", name=f"wb-{name}", line_color=LINE, line_dash=dash,
                 line_width=1.5, location=1, visible=False)
        )  # fmt: skip
    plot.xaxis.ticker = FixedTicker(ticks=[10**power for power in DECADES], minor_ticks=[])
    plot.xaxis.major_label_overrides = {10**power: duration(10**power) for power in DECADES}
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[0]a")
    plot.yaxis.axis_label = "calls"
    plot.xaxis.axis_label = "latency"
    plot.xgrid.visible = False
    item: dict[str, Any] = json_item(plot)
    return item
