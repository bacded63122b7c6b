"""A table of percentages as a map of colours."""

from collections.abc import Sequence

import numpy as np

from cganjax.report.figures import figure, to_png


def heat_map(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], *, title: str, x: str, y: str) -> bytes:
    """Percentages [R, C] as colours with their numbers, as a PNG; NaN stays empty.

    Args:
      values: [R, C] in 0..100.
      rows: names [R].
      columns: names [C].
      title: of the figure.
      x: the label of the x axis.
      y: the label of the y axis.
    """
    drawn = figure(0.75 * len(columns) + 3.0, 0.3 * len(rows) + 2.4)
    axes = drawn.subplots()
    axes.imshow(values, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    for (r, c), value in np.ndenumerate(values):
        if not np.isnan(value):
            axes.text(c, r, f"{value:.0f}", ha="center", va="center", color="w" if value < 60 else "k", fontsize=8)
    axes.set(title=title, xlabel=x, ylabel=y, yticks=range(len(rows)), yticklabels=rows, xticks=range(len(columns)))
    axes.set_xticklabels(columns, rotation=40, ha="right", fontsize=8)
    return to_png(drawn)
