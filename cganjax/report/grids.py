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
    column_names: Sequence[str] = (),
    title: str = "",
    gap: int = 2,
    scale: int = 2,
) -> bytes:
    """`grid` as a PNG, with a title, a name above each column and a name to the left of each row, if they are given.

    Args:
      row_names: one per row, or none (see `report.row_names`).
      column_names: one per column, or none.
      title: what the picture shows; it is wrapped to the picture's width.
      scale: see `png`.
      images, columns, spec, gap: see `grid`.

    Raises:
      ValueError: the number of names is not that of the rows or columns.
    """
    sheet = grid(images, columns, spec, gap)
    rows = -(-len(images) // columns)
    for names, what, count in ((row_names, "row", rows), (column_names, "column", columns)):
        if len(names) not in (0, count):
            raise ValueError(f"{len(names)} {what} names were given: expected {count}, one per {what}")
    if not (row_names or column_names or title):
        return png(sheet, scale)
    before, sheet = len(sheet), _enlarged(sheet, scale)
    drawn = len(sheet) // before  # pixels of the picture per pixel of an image
    height, width = (drawn * (side + gap) for side in images.shape[1:3])
    left = np.zeros((sheet.shape[0], 0), np.uint8)
    if row_names:
        left = _margin(row_names, sheet.shape[0], height, drawn * gap / 2)
    above = [_header(title, left.shape[1] + sheet.shape[1])] if title else []
    if column_names:
        names = _margin(column_names, sheet.shape[1], width, drawn * gap / 2, above=True)
        above.append(np.pad(names, ((0, 0), (left.shape[1], 0)), constant_values=255))
    parts = [np.concatenate([_like(left, sheet), sheet], axis=1)]
    return png(np.concatenate([*(_like(part, sheet) for part in above), *parts]), 1)


def _like(text: np.ndarray, sheet: np.ndarray) -> np.ndarray:
    """Grey text [H, W] in the colours of a sheet."""
    return text if sheet.ndim == 2 else np.repeat(text[..., None], 3, axis=2)


def _margin(names: Sequence[str], length: int, cell: int, begin: float, above: bool = False) -> np.ndarray:
    """Names in black on white, one per cell along a side: uint8 [length, width] at the left, or [height, length] above.

    The first cell begins at `begin`. Names above that are wider than their columns are turned.
    """
    from PIL import Image, ImageDraw, ImageFont

    names = [name.replace(r"\$", "$") for name in names]
    font = ImageFont.load_default(min(_TEXT, max(6, int(0.8 * cell))))
    longest = max(font.getlength(name) for name in names)
    flat = above and longest <= cell
    across = _TEXT + 6 if flat else 8 + int(longest)
    picture = Image.new("L", (length, across) if flat else (across, length), "white")
    pen = ImageDraw.Draw(picture)
    for i, name in enumerate(names):
        middle = begin + (i + 0.5) * cell
        place = (middle, across - 4) if flat else (4, middle) if above else (across - 4, middle)
        pen.text(place, name, fill="black", font=font, anchor="mb" if flat else "lm" if above else "rm")
    return np.asarray(picture.transpose(Image.Transpose.ROTATE_90) if above and not flat else picture)


def _header(title: str, width: int) -> np.ndarray:
    """A title in black on white, wrapped: uint8 [height, width]."""
    import textwrap

    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_TEXT)
    letters = max(1, int((width - 8) / (font.getlength(title) / len(title))))
    lines = textwrap.wrap(title, letters, break_long_words=False) or [title]
    picture = Image.new("L", (width, (_TEXT + 4) * len(lines) + 6), "white")
    pen = ImageDraw.Draw(picture)
    for i, line in enumerate(lines):
        pen.text((4, 4 + i * (_TEXT + 4)), line, fill="black", font=font)
    return np.asarray(picture)
