"""A sheet: images in rows with a name each, every image under its title."""

from collections.abc import Sequence

import numpy as np

from cganjax.report.drawing import draw
from cganjax.report.figures import add_title, figure, to_png
from cganjax.spec import ImageSpec


def sheet(
    images: np.ndarray,
    titles: Sequence[Sequence[str]],
    names: Sequence[str],
    *,
    title: str = "",
    spec: ImageSpec | None = None,
) -> bytes:
    """Rows of images with titles, as a PNG.

    Args:
      images: float [R, C, H, W, channels] in [0, 1]; an image that holds NaN is left out.
      titles: [R][C].
      names: of the rows [R].
      title: what the sheet shows.
      spec: of the images; see `grid`.
    """
    rows, columns = images.shape[:2]
    drawn = figure(1.25 * columns + 0.8, 1.45 * rows)
    places = drawn.subplots(rows, columns, squeeze=False)
    for r in range(rows):
        for c in range(columns):
            axes = places[r, c]
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(titles[r][c], fontsize=9)
            if np.isnan(images[r, c]).any():
                axes.set_frame_on(False)
            else:
                draw(axes, images[r, c], spec)
        places[r, 0].set_ylabel(names[r], fontsize=9)
    if title:
        add_title(drawn, title)
    return to_png(drawn)
