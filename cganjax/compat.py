"""Interfaces of the systems that cganjax reimplements, for code that was written against them."""

from typing import Any

import jax
import numpy as np

from cganjax import checkpoint as ckpt
from cganjax import checks, pixels, rng, sampling
from cganjax.types import BadType


class AiGcMn:
    """The interface of the original `label_map` system: labels in, a batch of [1, 28, 28] images in [-1, 1] out.

    >>> AiGcMn().generator([3, 1, 4]).shape
    (3, 1, 28, 28)
    """

    def __init__(self, checkpoint: str = ckpt.DEFAULT, seed: int = 0):
        """Load a conditional generator. A new object with the same seed repeats the sequence of its calls.

        Args:
          checkpoint: a shipped name, a run folder or a checkpoint folder; by default "mnist".
          seed: 0..2^32-1.

        Raises:
          FileNotFoundError, CheckpointError: see `cganjax.load`.
          TypeError: the checkpoint is unconditional, or the seed is not an integer.
          ValueError: the seed is out of range.
        """
        seed = checks.seed("seed", seed)
        self._generator = sampling.load(checkpoint)
        if self._generator.num_classes is None:
            raise BadType(f"{checkpoint} takes no labels: give a conditional checkpoint")
        self._key = rng.stream(rng.root(seed), "AiGcMn")
        self._calls = 0

    def generator(self, labels: Any) -> np.ndarray:
        """Generate one image for each label. Each call uses new noise.

        Args:
          labels: N integers 0..K-1 (0..9; the original took 64 of them) as a list, or a NumPy, JAX or PyTorch array of
            shape [N].

        Returns:
          float32 NumPy [N, C, H, W] in [-1, 1], as the original's tanh gave: [N, 1, 28, 28] with ink = 1 for digits.

        Raises:
          TypeError: the labels are not integers.
          ValueError: a label is out of range, or the labels have two dimensions.
        """
        if hasattr(labels, "detach"):  # a PyTorch tensor, perhaps on another device
            labels = labels.detach().cpu().numpy()
        labels = checks.labels(labels, self._generator.num_classes)
        key = jax.random.fold_in(self._key, self._calls)
        images = sampling.sample_from(self._generator, key, labels)
        self._calls += 1
        return np.asarray(pixels.unit_to_signed(images)).transpose(0, 3, 1, 2)
