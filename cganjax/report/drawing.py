"""How an image looks in a picture: RGB in colour, light-on-dark drawings as ink on white, other grey images unchanged.

Every figure of this package draws its images with `shown` or `draw`, so that all of them follow the `ImageSpec`.
"""

from typing import Any

import numpy as np

from cganjax import pixels
from cganjax.spec import LIGHT_ON_DARK, ImageSpec


def inverted(channels: int, spec: ImageSpec | None = None) -> bool:
    """Whether an image with this number of channels is drawn as 1 - x.

    Args:
      channels: 1 or 3.
      spec: of the images. If it is None, images of one channel count as light on dark.

    Raises:
      ValueError: for another number of channels.
    """
    if channels not in (1, 3):
        raise ValueError(f"images have {channels} channels: expected 1 (grey) or 3 (RGB)")
    return channels == 1 and (spec is None or spec.polarity == LIGHT_ON_DARK)


def shown(images: Any, spec: ImageSpec | None = None) -> np.ndarray:
    """The pixels that a picture of the images has.

    Args:
      images: float [..., H, W, C] in [0, 1].
      spec: of the images; see `inverted`.

    Returns:
      uint8 [..., H, W] for grey images, [..., H, W, 3] for RGB images.

    >>> shown(np.ones((1, 1, 1))), shown(np.ones((1, 1, 3)))[0, 0]
    (array([[0]], dtype=uint8), array([255, 255, 255], dtype=uint8))
    """
    rest = pixels.unit_to_rest(images)
    if inverted(rest.shape[-1], spec):
        rest = 255 - rest
    return rest[..., 0] if rest.shape[-1] == 1 else rest


def draw(axes, image: np.ndarray, spec: ImageSpec | None = None) -> None:
    """Draw one image [H, W, C] in [0, 1] into Matplotlib axes."""
    if image.shape[-1] == 1:
        axes.imshow(image[..., 0], cmap="gray_r" if inverted(1, spec) else "gray", vmin=0, vmax=1)
    else:
        axes.imshow(shown(image, spec))


def draw_change(axes, change: np.ndarray, largest: float, spec: ImageSpec | None = None) -> None:
    """Draw the difference of two images, [H, W, C] in [-largest, largest].

    Grey: red where the picture became darker, blue where it became lighter. RGB: grey where nothing changed, and each
    colour lighter or darker than that where it did.
    """
    if change.shape[-1] == 1:
        darker = change[..., 0] if inverted(1, spec) else -change[..., 0]
        axes.imshow(darker, cmap="bwr", vmin=-largest, vmax=largest)
    else:
        axes.imshow(shown(0.5 + change / (2 * largest), spec))
