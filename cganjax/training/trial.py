"""The trials of a classifier on test images while it trains."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import optax

from cganjax import pixels
from cganjax.data import Dataset
from cganjax.models import Networks
from cganjax.training.config import Config

CHUNK = 1000  # images in one call


class Trial:
    """A hook that reports loss and accuracy on test data after each epoch.

    They are for the curves alone: nothing in a run is chosen by them.
    """

    def __init__(
        self, config: Config, networks: Networks, dataset: Dataset, write: Callable[[int, Mapping[str, Any]], None]
    ):
        """Prepare the classifier.

        Args:
          config: of the run; has `epoch_steps`.
          networks: have a classifier.
          dataset: the test images and their labels.
          write: receives (step, metrics).
        """
        self._config, self._dataset, self._write = config, dataset, write
        self._classify = jax.jit(networks.classifier.apply)

    def __call__(self, step: int, state: Any) -> None:
        """Classify all test images, at the end of an epoch or of the run."""
        if step % self._config.epoch_steps and step != self._config.steps:
            return  # the run was stopped within an epoch: a row here would be missing from an unbroken run
        weights, images, labels = state.weights()["classifier"], self._dataset.images, self._dataset.labels
        starts = range(0, len(labels), CHUNK)
        outputs = [self._classify(weights, pixels.rest_to_unit(images[i : i + CHUNK])) for i in starts]
        logits = np.concatenate(outputs)
        loss = float(optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean())
        right = logits.argmax(axis=1) == labels
        of_class = [right[labels == k] for k in range(self._dataset.num_classes)]
        by_class = [float(found.mean()) if len(found) else None for found in of_class]  # None: no test image
        test = {"test_loss": loss, "test_accuracy": float(right.mean()), "test_accuracy_by_class": by_class}
        self._write(step, test)
