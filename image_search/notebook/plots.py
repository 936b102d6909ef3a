"""The measurements of projections and indexes as a figure: the one importer of matplotlib."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_COLOURS = {"none": "#555555", "pca": "#1f6fb4", "random": "#d9822b"}
_MARKERS = ("o", "s", "^", "D", "v", "P")
_QUALITY = (("map", "mAP (pictures of the same kind)"), ("recall_at_10", "recall@10 (nearest by the full vectors)"))


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure; a notebook shows it as it is."""

    svg: str
    """The same for the same numbers."""

    def _repr_svg_(self) -> str:
        return self.svg


def projection_plot(rows: Sequence[Mapping[str, Any]], indexes: Sequence[Mapping[str, Any]] = ()) -> Plot:
    """mAP and recall by number of dimensions, a line for each kind of projection; beside them what indexes cost.

    `rows`: `projection` (none, pca:N, random:N), `dim`, `map`, `recall_at_10`. `indexes`: `index`, `projection`,
    `dim`, `query_ms`, `recall_at_10`.
    """
    panels = len(_QUALITY) + bool(indexes)
    figure = Figure(figsize=(4.0 * panels, 3.4), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis, (name, title) in zip(axes, _QUALITY, strict=False):
        _draw_quality(axis, rows, name, title)
    if indexes:
        _draw_indexes(axes[-1], indexes)
    return _plot(figure)


def index_plot(rows: Sequence[Mapping[str, Any]]) -> Plot:
    """Recall by time of a query: a line for each index, a point for each setting that it was asked with.

    `rows`: `index`, `asked with`, `recall@10`, `p50 ms`.
    """
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axis = figure.subplots()
    for name, marker in zip(dict.fromkeys(row["index"] for row in rows), itertools.cycle(_MARKERS)):
        own = [row for row in rows if row["index"] == name]
        times, recalls = [row["p50 ms"] for row in own], [row["recall@10"] for row in own]
        axis.plot(times, recalls, marker=marker, alpha=0.85, label=name)
        for row, time, recall in zip(own, times, recalls, strict=True):
            value = row["asked with"].partition(" = ")[2]
            axis.annotate(value, (time, recall), textcoords="offset points", xytext=(4, -9), fontsize=7)
    axis.set_xscale("log")
    axis.set(title="recall@10 by time of a query; numbers: ef, nprobe", xlabel="ms a query, one at a time")
    axis.grid(alpha=0.3)
    axis.legend()
    return _plot(figure)


def _plot(figure: Figure) -> Plot:
    svg = io.StringIO()
    with rc_context({"svg.hashsalt": "image-search"}):
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Plot(svg.getvalue())


def _draw_quality(axis: Axes, rows: Sequence[Mapping[str, Any]], name: str, title: str) -> None:
    for kind in ("pca", "random"):
        points = sorted((row["dim"], row[name]) for row in rows if row["projection"].startswith(f"{kind}:"))
        if points:
            axis.plot(*zip(*points, strict=True), marker="o", color=_COLOURS[kind], label=kind)
    for row in rows:
        if row["projection"] == "none":
            label = f"none ({row['dim']})"
            axis.axhline(row[name], color=_COLOURS["none"], linestyle="--", linewidth=1, label=label)
    dims = sorted({row["dim"] for row in rows if row["projection"] != "none"})
    if dims:
        axis.set_xscale("log", base=2)
        axis.set_xticks(dims, [str(dim) for dim in dims])
        axis.minorticks_off()
    axis.set(title=title, xlabel="dimensions")
    axis.grid(alpha=0.3)
    axis.legend()


def _draw_indexes(axis: Axes, indexes: Sequence[Mapping[str, Any]]) -> None:
    names = list(dict.fromkeys(row["index"] for row in indexes))
    for name, marker in zip(names, _MARKERS, strict=False):
        own = [row for row in indexes if row["index"] == name]
        colours = [_COLOURS[row["projection"].partition(":")[0]] for row in own]
        times, recalls = [row["query_ms"] for row in own], [row["recall_at_10"] for row in own]
        axis.scatter(times, recalls, marker=marker, c=colours, alpha=0.85)
        # Points have the colour of their projection, and the legend's none.
        axis.scatter([], [], marker=marker, c=_COLOURS["none"], label=name)
        for row in own:
            where = (row["query_ms"], row["recall_at_10"])
            axis.annotate(str(row["dim"]), where, textcoords="offset points", xytext=(4, 3), fontsize=7)
    axis.set_xscale("log")
    axis.set(title="recall@10 by time of a query", xlabel="ms a query, one at a time")
    axis.grid(alpha=0.3)
    axis.legend()
