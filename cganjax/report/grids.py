"""Images side by side in one array, and arrays as PNG bytes."""

import io
from collections.abc import Sequence

import numpy as np

from cganjax.report.drawing import shown
from cganjax.spec import ImageSpec

LARGEST_SIDE = 16_384  # pixels: many viewers open nothing larger
_TEXT = 14  # pixels: the height of a row's name


def grid(images: np.ndarray, columns: int, spec: ImageSpec | None = None, gap: int = 2) -> np.ndarray:
    """Lay images out row by row on a white sheet.

    Args:
      images: float [N, H, W, C] in [0, 1].
      columns: images per row.
      spec: of the images: light-on-dark drawings become ink on white, others stay as they are. If it is None, images of
        one channel count as light on dark.
      gap: white pixels between images and around them.

    Returns:
      uint8 [rows, columns] for grey images, [rows, columns, 3] for RGB images.

    >>> grid(np.ones((3, 28, 28, 1)), columns=2).shape
    (62, 62)
    """
    n, h, w, _ = images.shape
    rows = -(-n // columns)
    drawn = shown(images, spec)
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap, *drawn.shape[3:]), 255, np.uint8)
    for i, image in enumerate(drawn):
        top, left = gap + (i // columns) * (h + gap), gap + (i % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = image
    return sheet


def png(sheet: np.ndarray, scale: int = 2) -> bytes:
    """A picture uint8 [H, W] or [H, W, 3] as a PNG.

    Each pixel is drawn `scale` pixels wide, or fewer where a side would have more than `LARGEST_SIDE`.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(_enlarged(sheet, scale)).save(buffer, format="PNG")
    return buffer.getvalue()


def _enlarged(sheet: np.ndarray, scale: int) -> np.ndarray:
    scale = max(1, min(scale, LARGEST_SIDE // max(sheet.shape[:2])))
    return sheet.repeat(scale, 0).repeat(scale, 1)


def grid_png(
    images: np.ndarray,
    columns: int,
    spec: ImageSpec | None = None,
    *,
    row_names: Sequence[str] = (),
    gap: int = 2,
    scale: int = 2,
) -> bytes:
    """`grid` as a PNG, with a name to the left of each row if names are given.

    Args:
      row_names: one per row, or none (see `report.row_names`).
      scale: see `png`.
      images, columns, spec, gap: see `grid`.

    Raises:
      ValueError: the number of names is not that of the rows.
    """
    sheet = grid(images, columns, spec, gap)
    rows = -(-len(images) // columns)
    if not row_names:
        return png(sheet, scale)
    if len(row_names) != rows:
        raise ValueError(f"{len(row_names)} row names were given: expected {rows}, one per row")
    sheet = _enlarged(sheet, scale)
    height = sheet.shape[0] / rows
    return png(np.concatenate([_margin(row_names, sheet.shape, height), sheet], axis=1), 1)


def _margin(names: Sequence[str], shape: tuple[int, ...], height: float) -> np.ndarray:
    """Names in black on white, one per row of this height: uint8 [shape[0], width] or [shape[0], width, 3]."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(min(_TEXT, max(6, int(0.8 * height))))
    names = [name.replace(r"\$", "$") for name in names]
    width = 8 + int(max(font.getlength(name) for name in names))
    picture = Image.new("L" if len(shape) == 2 else "RGB", (width, shape[0]), "white")
    pen = ImageDraw.Draw(picture)
    for i, name in enumerate(names):
        pen.text((width - 4, (i + 0.5) * height), name, fill="black", font=font, anchor="rm")
    return np.asarray(picture)
