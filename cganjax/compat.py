"""Interfaces of the systems that cganjax reimplements, for code that was written against them."""

from typing import Any

import jax
import numpy as np

from cganjax import pixels, rng, sampling


class AiGcMn:
    """The original `label_map` system's interface: labels in, images as a batch of [1, 28, 28] in [-1, 1] out.

    >>> AiGcMn().generator([3, 1, 4]).shape
    (3, 1, 28, 28)
    """

    def __init__(self, checkpoint: str = "mnist", seed: int = 0):
        """Load a conditional generator; a new object with the same seed repeats the sequence of its calls.

        Args:
          checkpoint: a shipped name, a run folder or a checkpoint folder.
          seed: 0..2^32-1.

        Raises:
          FileNotFoundError, CheckpointError: see `cganjax.load`.
          TypeError: the checkpoint is unconditional, or the seed no integer. ValueError: the seed is out of range.
        """
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise TypeError(f"seed is {seed!r}: expected an integer")
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed is {seed}: expected 0..2^32-1")
        self._generator = sampling.load(checkpoint)
        if self._generator.num_classes is None:
            raise TypeError(f"{checkpoint} takes no labels: give a conditional checkpoint")
        self._key = rng.stream(rng.root(int(seed)), "AiGcMn")
        self._calls = 0

    def generator(self, labels: Any) -> np.ndarray:
        """Draw one image for each label; each call draws new noise.

        Args:
          labels: N integers 0..9 (the original took 64) as a list, or a NumPy, JAX or PyTorch array of shape [N].

        Returns:
          float32 NumPy [N, 1, 28, 28] in [-1, 1], ink = 1, as the original's tanh gave.

        Raises:
          TypeError: labels that are not integers. ValueError: a label out of range, or labels not of shape [N].
        """
        if hasattr(labels, "detach"):  # a PyTorch tensor, perhaps on another device
            labels = labels.detach().cpu().numpy()
        labels = sampling.check_labels(labels, self._generator.num_classes)
        key = jax.random.fold_in(self._key, self._calls)
        images = sampling.sample_from(self._generator, key, labels)
        self._calls += 1
        return np.asarray(pixels.unit_to_signed(images)).transpose(0, 3, 1, 2)
