"""The 1,797 digits that scikit-learn carries: a data set that needs no download."""

from pathlib import Path

import numpy as np

from cganjax.data.record import Raw


def digits(part: str, folder: Path | None) -> Raw:
    """The first 1,500 images are train, the last 297 test. Each 8x8 image is enlarged to 20x20 and centred in 28x28."""
    from PIL import Image
    from sklearn.datasets import load_digits

    found = load_digits()
    rows = slice(None, 1500) if part == "train" else slice(1500, None)
    images = np.zeros((len(found.images[rows]), 28, 28, 1), np.uint8)
    for canvas, small in zip(images, found.images[rows], strict=True):
        grey = Image.fromarray(np.round(small * (255 / 16)).astype(np.uint8))
        canvas[4:24, 4:24, 0] = np.asarray(grey.resize((20, 20), Image.Resampling.BICUBIC))
    return Raw(images, found.target[rows], 10, "scikit-learn's embedded digits")
