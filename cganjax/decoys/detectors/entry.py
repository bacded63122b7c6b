"""What a detector is: `Detector` once it is calibrated, and `Entry`, a row of the table of detectors."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from cganjax import pixels

Score = Callable[[jax.Array], jax.Array]  # images [N, H, W, C] -> [N], larger is more out-of-distribution


class Detector(NamedTuple):
    """A calibrated detector: it rejects images that score above its threshold. `cganjax.calibrate` makes one.

    >>> import cganjax, numpy as np
    >>> real = cganjax.dataset("digits", split="test").images / np.float32(255)
    >>> detector = cganjax.calibrate("msp", cganjax.load_classifier("lenet5"), real)
    >>> detector.score(real[:2]).shape, detector.rejects(real[:2]).shape
    ((2,), (2,))
    """

    name: str
    score: Score  # images [N, H, W, C] in [0, 1] -> [N], larger is more out-of-distribution; pure if its model is
    threshold: float  # images that score above it are rejected

    def rejects(self, images: Any) -> jax.Array:
        """Whether each image scores above the threshold.

        Args:
          images: float [N, H, W, C] in [0, 1].

        Returns:
          bool [N], True for a rejected image.

        Raises:
          ValueError: images are NaN or outside [0, 1].
        """
        if not isinstance(images, jax.core.Tracer):
            images = pixels.check_unit(images)
        return self.score(images) > self.threshold


class Entry(NamedTuple):
    """A detector before it is calibrated."""

    # (classifier, kind, **settings) -> Score; if it learns, (classifier, kind, real, labels or None, **settings)
    make: Callable[..., Score]
    scores: tuple[str, ...]  # the kinds of outputs that it works on, see cganjax.scores.KINDS
    learns: bool = False  # it learns from real images, by the classifier's features
    gradient: bool = False  # it needs the classifier's gradient
    least: Callable[[Callable, tuple[int, ...]], int] | None = None  # (classifier, [H, W, C]) -> real images needed
