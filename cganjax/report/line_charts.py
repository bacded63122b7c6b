"""Line charts: the curves of a run, and lines against common x values."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cganjax import metrics
from cganjax.report.figures import figure, to_png

CURVES = tuple(metrics.panels().items())  # the panels of a run's curves: the unit, and the metrics that have it
_NO_METRICS = ("step", "steps")  # fields of a row that place it


def curves(rows: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """The curves of a run against the step, as a PNG.

    Args:
      rows: lines of `metrics.jsonl`: a step, and metrics by name. Metrics with the same unit share a panel (`CURVES`);
        a metric that no unit is known of has a panel of its own; one that is no number is left out.
      title: of the figure.
    """
    found = {name for row in rows for name, value in row.items() if isinstance(value, numbers.Real)}
    panels = [(unit, [n for n in names if n in found]) for unit, names in CURVES if found & {*names}]
    known = {*_NO_METRICS, *(name for _, names in CURVES for name in names)}
    panels += [(name, [name]) for name in sorted(found - known)]
    drawn = figure(4 * max(len(panels), 1), 3.6)
    drawn.suptitle(title)
    # Without a metric the title stands alone.
    for axes, (unit, names) in zip(drawn.subplots(1, max(len(panels), 1), squeeze=False)[0], panels, strict=False):
        for name in names:
            points = [(row["step"], row[name]) for row in rows if name in row]
            # A line of one point would be nothing.
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1, marker="o" if len(points) == 1 else "")
        axes.set_xlabel("step")
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")  # "best" takes long where there are many points, and warns
    return to_png(drawn)


def lines(
    x_values: Sequence[float],
    lines: Sequence[tuple[str, Sequence[float], Mapping[str, Any]]],
    *,
    x: str,
    y: str,
    title: str,
    names: Sequence[str] = (),
) -> bytes:
    """Lines against common x values, as a PNG.

    Args:
      x_values: [E].
      lines: a label, values [E] (NaN where there is no point), and Matplotlib's settings of each line.
      x: the label of the x axis.
      y: the label of the y axis.
      title: of the figure.
      names: a text beside each point of a line [E], or none.
    """
    few = len(lines := list(lines)) <= 7
    drawn = figure(7 if few else 9, 4.5)
    axes = drawn.subplots()
    for label, values, settings in lines:
        axes.plot(x_values, values, label=label, **{"marker": "o", "markersize": 3, "linewidth": 1} | settings)
        for name, *point in zip(names, x_values, values, strict=bool(names)):
            if np.isfinite(point).all():
                axes.annotate(name, point, xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.grid(alpha=0.3)
    if few:
        axes.legend(fontsize=8, loc="upper right")
    else:
        drawn.legend(fontsize=8, loc="outside right upper")
    return to_png(drawn)
