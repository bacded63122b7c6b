"""How a digit is written, apart from which digit it is: whether one latent has one hand in all classes."""

from typing import Any

import numpy as np

from cganjax.evaluation.records import Unmeasurable

STYLE = ("ink", "slant", "width")


def style(images: Any) -> np.ndarray:
    """Three moments of the ink of each image [N, H, W, 1] in [0, 1]: float64 [N, 3], in the order of STYLE.

    ink: the mean pixel, which grows with the stroke's thickness. slant: pixels to the right for each pixel upwards, as
    the deskewing of MNIST takes it out (covariance of columns and rows over the variance of rows). width: the standard
    deviation of the ink's columns, in pixels. Without ink slant and width are 0.
    """
    x = np.asarray(images, np.float64)
    if x.ndim != 4 or x.shape[3] != 1:
        raise ValueError(f"images have shape {x.shape}: expected [N, H, W, 1]")
    x = x[..., 0]
    mass = np.maximum(x.sum(axis=(1, 2)), 1e-12)
    rows, columns = np.arange(x.shape[1]), np.arange(x.shape[2])

    def mean(weight: np.ndarray) -> np.ndarray:
        return (x * weight).sum(axis=(1, 2)) / mass

    up, right = (mean(w)[:, None, None] for w in (-rows[:, None], columns[None, :]))
    off_up, off_right = -rows[None, :, None] - up, columns[None, None, :] - right
    height = np.maximum(mean(off_up**2), 1e-12)
    return np.stack([x.mean(axis=(1, 2)), mean(off_up * off_right) / height, np.sqrt(mean(off_right**2))], axis=1)


def correlations(styles: np.ndarray) -> dict[str, np.ndarray]:
    """Correlation over latents of each two classes, by name: float64 [K (K - 1) / 2] in -1..1.

    Args:
      styles: [L, K, 3], of the image that latent l gives in class k; `style` has them.

    Raises:
      ValueError: another shape, fewer than three latents or two classes, or a moment that is the same for all latents
        or no number.
    """
    styles = np.asarray(styles, np.float64)
    if styles.ndim != 3 or styles.shape[2] != len(STYLE) or styles.shape[0] < 3 or styles.shape[1] < 2:
        raise ValueError(f"styles have shape {styles.shape}: expected [L >= 3, K >= 2, {len(STYLE)}]")
    if not (np.ptp(styles, axis=0) > 1e-9).all():  # rounding alone varies less
        raise Unmeasurable("a class is written the same for all latents: there is nothing to correlate")
    found = {}
    for i, name in enumerate(STYLE):
        correlation = np.corrcoef(styles[:, :, i], rowvar=False)
        found[name] = correlation[np.triu_indices(len(correlation), 1)]
    return found
