"""Pictures and logs: grids as PNG, curves, `metrics.jsonl`, images as block characters. Reads arrays, computes none."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cganjax import metrics, pixels
from cganjax.checkpoint import read_metrics
from cganjax.files import write_file


def grid(images: np.ndarray, columns: int, spec=None, gap: int = 2) -> np.ndarray:
    """Lay images [N, H, W, 1] in [0, 1] out row by row: uint8 [rows, cols] of ink on white, the rest left white."""
    n, h, w, _ = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap), 255, np.uint8)
    for i, image in enumerate(255 - pixels.unit_to_rest(images)[..., 0]):
        top, left = gap + (i // columns) * (h + gap), gap + (i % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = image
    return sheet


def save_png(path: Path, sheet: np.ndarray, scale: int = 2) -> None:
    """Write a grey picture uint8 [H, W], each pixel `scale` wide."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(sheet.repeat(scale, 0).repeat(scale, 1)).save(buffer, format="PNG")
    write_file(path, buffer.getvalue())


def blocks(image: np.ndarray) -> str:
    """An image [H, W, 1] in [0, 1] as text, two rows of pixels a line."""
    ink = np.asarray(image)[..., 0] > 0.4
    ink = np.pad(ink, ((0, ink.shape[0] % 2), (0, 0)))
    return "\n".join(
        "".join(" ▄▀█"[2 * top + bottom] for top, bottom in zip(upper, lower, strict=True)).rstrip()
        for upper, lower in zip(ink[::2].astype(int), ink[1::2].astype(int), strict=True)
    )


class MetricsLog:
    """`metrics.jsonl`: one object a line. Opened at a step, it forgets lines of later steps, which will come again."""

    def __init__(self, path: Path, step: int):
        self.rows = [row for row in read_metrics(path) if row["step"] <= step]
        write_file(path, "".join(json.dumps(row) + "\n" for row in self.rows).encode())
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Append one line, on disk at once."""
        row = {"step": step, **values}
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


CURVES = metrics.panels()


def save_curves(path: Path, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Draw the curves of a run from its metrics, one panel a unit that they have, against the step."""
    from matplotlib.figure import Figure  # without pyplot: no window system is asked for

    there = {name for row in rows for name in row}
    panels = [(unit, [n for n in names if n in there]) for unit, names in CURVES.items() if there & {*names}]
    figure = Figure(figsize=(4 * max(len(panels), 1), 3.6), layout="constrained")
    figure.suptitle(title)
    for axes, (unit, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name in names:
            points = [(row["step"], row[name]) for row in rows if name in row]
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
        axes.set_xlabel("step")
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
        axes.legend()
    _save_figure(path, figure)


def save_lines(
    path: Path,
    x_values: Sequence[float],
    lines: Sequence[tuple[str, Sequence[float], Mapping[str, Any]]],
    *,
    x: str,
    y: str,
    title: str,
    names: Sequence[str] = (),
) -> None:
    """Draw lines (label, values [E], Matplotlib's settings) against common x values; `x` and `y` name the axes.

    A value that is NaN has no point. `names`, where given, stand beside the points of each line.
    """
    from matplotlib.figure import Figure

    few = len(lines := list(lines)) <= 7
    figure = Figure(figsize=(7 if few else 9, 4.5), layout="constrained")
    axes = figure.subplots()
    for label, values, settings in lines:
        axes.plot(x_values, values, label=label, **{"marker": "o", "markersize": 3, "linewidth": 1} | settings)
        for name, *point in zip(names, x_values, values, strict=bool(names)):
            if np.isfinite(point).all():
                axes.annotate(name, point, xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.grid(alpha=0.3)
    if few:
        axes.legend(fontsize=8)
    else:
        figure.legend(fontsize=8, loc="outside right upper")
    _save_figure(path, figure)


def save_sheet(path: Path, images: np.ndarray, titles: Sequence[Sequence[str]], names: Sequence[str]) -> None:
    """Draw images [R, C, H, W, 1] in [0, 1] (NaN where there is none), each under its title, each row with a name."""
    from matplotlib.figure import Figure

    rows, columns = images.shape[:2]
    figure = Figure(figsize=(1.25 * columns + 0.8, 1.45 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for r in range(rows):
        for c in range(columns):
            axes = grid[r, c]
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(titles[r][c], fontsize=9)
            if np.isnan(images[r, c]).any():
                axes.set_frame_on(False)
            else:
                axes.imshow(images[r, c, ..., 0], cmap="gray_r", vmin=0, vmax=1)
        grid[r, 0].set_ylabel(names[r], fontsize=9)
    _save_figure(path, figure)


def save_decoys(
    path: Path, clean: np.ndarray, decoys: np.ndarray, before: np.ndarray, after: np.ndarray, rejected: np.ndarray
) -> None:
    """Draw clean images [N, H, W, 1] in [0, 1], their decoys, the difference, and every class's confidence.

    `before` and `after` are confidences [N, K] of the two, `rejected` [N] of the decoys; ten images a row.
    """
    from matplotlib.figure import Figure

    columns, parts = min(len(clean), 10), ("clean", "decoy", "difference", "confidence")
    bands = -(-len(clean) // columns)
    figure = Figure(figsize=(1.25 * columns + 0.9, 5.2 * bands), layout="constrained")
    grid = figure.subplots(4 * bands, columns, squeeze=False)
    largest = max(float(np.abs(decoys - clean).max()), 1e-3)
    for axes in grid.ravel():
        axes.set_axis_off()
    for i in range(len(clean)):
        band, column = divmod(i, columns)
        change = decoys[i] - clean[i]
        pictures = ((clean[i], 0, 1, "gray_r"), (decoys[i], 0, 1, "gray_r"), (change, -largest, largest, "bwr"))
        for part, (image, low, high, colours) in enumerate(pictures):
            axes = grid[4 * band + part, column]
            axes.set_axis_on()
            axes.set(xticks=[], yticks=[])
            axes.imshow(image[..., 0], cmap=colours, vmin=low, vmax=high)
        grid[4 * band, column].set_title(f"{before[i].max():.3f}", fontsize=9)
        grid[4 * band + 1, column].set_title(
            f"{after[i].max():.3f}{' rejected' if rejected[i] else ''}", fontsize=8, color="C3" if rejected[i] else "k"
        )
        axes, classes = grid[4 * band + 3, column], np.arange(before.shape[1])
        axes.set_axis_on()
        axes.bar(classes - 0.2, before[i], 0.4, color="0.6", label="clean")
        axes.bar(classes + 0.2, after[i], 0.4, color="C3", label="decoy")
        axes.set(ylim=(0, 1), xticks=classes, yticks=[0, 1] if column == 0 else [])
        axes.tick_params(labelsize=6)
        if column == 0:
            for part, name in enumerate(parts):
                grid[4 * band + part, 0].set_ylabel(name, fontsize=9)
    grid[3, 0].legend(fontsize=6)
    _save_figure(path, figure)


def save_heat_map(
    path: Path, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], *, title: str, x: str, y: str
) -> None:
    """Draw shares [R, C] in percent as a map with their numbers; NaN stays empty."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.75 * len(columns) + 3.0, 0.3 * len(rows) + 2.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(values, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    for (r, c), value in np.ndenumerate(values):
        if not np.isnan(value):
            axes.text(c, r, f"{value:.0f}", ha="center", va="center", color="w" if value < 60 else "k", fontsize=8)
    axes.set(title=title, xlabel=x, ylabel=y, yticks=range(len(rows)), yticklabels=rows, xticks=range(len(columns)))
    axes.set_xticklabels(columns, rotation=40, ha="right", fontsize=8)
    _save_figure(path, figure)


def save_evaluation(
    path: Path,
    strips: Sequence[tuple[str, np.ndarray, Sequence[str]]],
    bars: Mapping[str, Mapping[str, Sequence[float | None]]],
    title: str,
) -> None:
    """Draw the page of an evaluation.

    Args:
      strips: rows of pictures: a name, images [C, H, W, 1] in [0, 1], and a caption of each.
      bars: panels below them: a title, and for each name a number a class.
      title: of the page.
    """
    from matplotlib.figure import Figure

    columns = max([len(images) for _, images, _ in strips], default=1)
    heights = [1.25 * len(strips), 2.6 * bool(bars)]
    figure = Figure(figsize=(max(1.05 * columns + 1.2, 9), sum(heights) + 0.4), layout="constrained")
    figure.suptitle(title)
    parts = iter(
        np.atleast_1d(figure.subfigures(sum(h > 0 for h in heights), 1, height_ratios=[h for h in heights if h]))
    )
    if strips:
        grid = next(parts).subplots(len(strips), columns, squeeze=False)
        for axes in grid.ravel():
            axes.set(xticks=[], yticks=[])
            axes.set_frame_on(False)
        for row, (name, images, captions) in zip(grid, strips, strict=True):
            row[0].set_ylabel(name, fontsize=8)
            for axes, image, caption in zip(row, images, captions, strict=False):
                axes.imshow(image[..., 0], cmap="gray_r", vmin=0, vmax=1)
                axes.set_title(caption, fontsize=7, pad=2)
    if bars:
        below = next(parts)
        for axes, (panel, rows) in zip(below.subplots(1, len(bars), squeeze=False)[0], bars.items(), strict=True):
            width = 0.8 / len(rows)
            for i, (name, values) in enumerate(rows.items()):
                classes = np.arange(len(values))
                heights = [np.nan if v is None else v for v in values]
                axes.bar(classes + (i - (len(rows) - 1) / 2) * width, heights, width, label=name)
            axes.set(title=f"{panel} by class", xticks=classes)
            values = np.concatenate([np.array(v, float) for v in rows.values()])
            if 0.9 < np.nanmin(values) and np.nanmax(values) <= 1:
                axes.set_ylim(0.9, 1.0)  # shares near 1 differ above it
        below.legend(*axes.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=len(rows))
    _save_figure(path, figure)


def _save_figure(path: Path, figure) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_file(path, buffer.getvalue())
