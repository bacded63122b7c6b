"""The page of an evaluation: strips of images, and figures by class below them."""

from collections.abc import Mapping, Sequence

import numpy as np

from cganjax.report.class_labels import label_classes, some_classes
from cganjax.report.drawing import draw
from cganjax.report.figures import add_title, figure, to_png
from cganjax.spec import ImageSpec

MOST_COLUMNS = 20  # images of a strip
MOST_BARS = 64  # classes that have a bar each; figures of more classes are a line


def evaluation_page(
    strips: Sequence[tuple[str, np.ndarray, Sequence[str]]],
    bars: Mapping[str, Mapping[str, Sequence[float | None]]],
    title: str,
    *,
    spec: ImageSpec | None = None,
) -> bytes:
    """The page of an evaluation, as a PNG.

    Args:
      strips: rows of pictures: a name, images [N, H, W, C] in [0, 1], and a caption of each. Of more than 20 images 20
        are drawn, the same ones in strips of the same length.
      bars: panels below them: a title, and for each name one value per class (None: no value).
      title: of the page.
      spec: of the images; its class names label the bars. See `grid`.
    """
    columns = min(max([len(images) for _, images, _ in strips], default=1), MOST_COLUMNS)
    heights = [1.25 * len(strips), 2.6 * bool(bars)]
    width = max(1.05 * columns + 1.2, 9)
    drawn = figure(width, sum(heights))
    add_title(drawn, title)
    parts = iter(
        np.atleast_1d(drawn.subfigures(sum(h > 0 for h in heights), 1, height_ratios=[h for h in heights if h]))
    )
    if strips:
        places = next(parts).subplots(len(strips), columns, squeeze=False)
        for axes in places.ravel():
            axes.set(xticks=[], yticks=[])
            axes.set_frame_on(False)
        for row, (name, images, captions) in zip(places, strips, strict=True):
            chosen = some_classes(len(images), MOST_COLUMNS)
            row[0].set_ylabel(name, fontsize=8)
            for axes, i in zip(row, chosen, strict=False):
                draw(axes, np.asarray(images[i]), spec)
                axes.set_title(captions[i], fontsize=7, pad=2)
    if bars:
        below, most = next(parts), max(map(len, bars.values()))
        for axes, (panel, rows) in zip(below.subplots(1, len(bars), squeeze=False)[0], bars.items(), strict=True):
            _panel(axes, panel, rows, width / len(bars) - 0.6, spec)
            if len(rows) == most:  # a panel may lack some of the names
                legend = axes.get_legend_handles_labels()
        below.legend(*legend, fontsize=8, loc="outside lower center", ncols=most)
    return to_png(drawn)


def _panel(axes, title: str, rows: Mapping[str, Sequence[float | None]], inches: float, spec: ImageSpec | None) -> None:
    """The values of each name, side by side at each class."""
    width = 0.8 / len(rows)
    for i, (name, values) in enumerate(rows.items()):
        classes = np.arange(len(values))
        heights = [np.nan if v is None else v for v in values]
        if len(values) > MOST_BARS:
            axes.plot(classes, heights, linewidth=0.8, label=name)
        else:
            axes.bar(classes + (i - (len(rows) - 1) / 2) * width, heights, width, label=name)
    axes.set(title=f"{title} by class")
    label_classes(axes, inches, len(classes), spec)
    values = np.concatenate([np.array(v, float) for v in rows.values()])
    if 0.9 < np.nanmin(values) and np.nanmax(values) <= 1:
        axes.set_ylim(0.9, 1.0)  # fractions near 1 differ above it
