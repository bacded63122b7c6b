"""Images as text for a terminal."""

import numpy as np

from cganjax.report.drawing import inverted, shown
from cganjax.spec import ImageSpec

WIDEST = 100  # letters of a line: of wider images only every second or third pixel is shown
_SHADES = " ░▒▓█"


def blocks(image: np.ndarray, spec: ImageSpec | None = None, *, colour: bool = False) -> str:
    """One image as block characters, two rows of pixels per line.

    Drawings (of one channel) are black and white: a block is ink. RGB images are shades of grey, where a full block is
    dark, or in colour.

    Args:
      image: float [H, W, C] in [0, 1].
      spec: of the image; see `grid`.
      colour: write RGB images with a terminal's colour codes.
    """
    image = np.asarray(image)
    step = -(-image.shape[1] // WIDEST)
    image = image[::step, ::step]
    if image.shape[-1] == 1:
        return _drawing(image[..., 0] if inverted(1, spec) else 1 - image[..., 0])
    pixels = np.pad(shown(image, spec), ((0, image.shape[0] % 2), (0, 0), (0, 0)), mode="edge")
    upper, lower = pixels[::2], pixels[1::2]
    if colour:
        return "\n".join(
            "".join(_coloured(top, bottom) for top, bottom in zip(*rows, strict=True)) + "\x1b[0m"
            for rows in zip(upper, lower, strict=True)
        )
    dark = 1 - (upper.mean(-1) + lower.mean(-1)) / (2 * 255)
    return "\n".join("".join(_SHADES[round(4 * value)] for value in row).rstrip() for row in dark)


def _drawing(ink: np.ndarray) -> str:
    ink = ink > 0.4
    ink = np.pad(ink, ((0, ink.shape[0] % 2), (0, 0)))
    return "\n".join(
        "".join(" ▄▀█"[2 * top + bottom] for top, bottom in zip(upper, lower, strict=True)).rstrip()
        for upper, lower in zip(ink[::2].astype(int), ink[1::2].astype(int), strict=True)
    )


def _coloured(top: np.ndarray, bottom: np.ndarray) -> str:
    return "\x1b[38;2;{};{};{}m\x1b[48;2;{};{};{}m▀".format(*top, *bottom)
