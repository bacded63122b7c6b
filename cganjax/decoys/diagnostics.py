"""Checks on an attack's figures, and the warnings that follow; docs/how-to/decoy-warnings.md explains each."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import scores
from cganjax.decoys.attacks import norms
from cganjax.decoys.attacks.batches import Batch
from cganjax.decoys.attacks.objectives import Goal
from cganjax.decoys.observe import Observation, Targets

FEW = 100  # images that gradients, noise and the second look are computed for
PAGE = "docs/how-to/decoy-warnings.md"


class DecoyWarning(UserWarning):
    """A reason not to trust the figures of an attack; docs/how-to/decoy-warnings.md explains each."""


WARNINGS = {
    "zero_gradient": "the gradient is zero or not finite on some images, so that nothing was attacked there",
    "random_classifier": "the classifier gives other outputs when the same image is shown again",
    "probabilities_as_logits": 'its outputs are probabilities, and were taken as logits: give scores="probabilities"',
    "noise_beats_gradient": "random noise of the same size lowers the confidence more than the attack did",
    "rejected_before": "more than a tenth of the images were rejected before the attack: count them separately",
}


def few(batch: Batch) -> Batch:
    """The first `FEW` images of a batch, without the generator."""
    return jax.tree.map(lambda x: x[:FEW], batch._replace(generator=None))


def zero_gradient(goal: Goal, batch: Batch) -> bool:
    """Whether the gradient of the goal is zero or not finite on an image of the batch."""
    slope = jax.grad(lambda x: goal(x, jnp.asarray(batch.labels)).sum())(jnp.asarray(batch.bounds.clean))
    steepest = np.abs(slope).max(axis=(1, 2, 3))
    return not (np.isfinite(steepest) & (steepest > 0)).all()


def random_classifier(again: Observation, before: Observation) -> bool:
    """Whether outputs for the first images differ when they are shown again."""
    return any(
        np.abs(a - b[: len(a)]).max() > 1e-3 * max(1.0, np.abs(a).max())
        for a, b in zip(again.outputs, before.outputs, strict=True)
    )


def probabilities_as_logits(targets: Targets, before: Observation) -> bool:
    """Whether outputs that were taken as logits look like probabilities."""
    return any(
        kind == "logits" and scores.look_like_probabilities(outputs)
        for outputs, kind in zip(before.outputs, targets.kinds, strict=True)
    )


def noise_beats_gradient(
    attacked: Targets, batch: Batch, norm: str, confidence_after: Callable[[], np.ndarray]
) -> bool:
    """Whether random noise within the same bounds leaves a lower mean confidence than the attack."""
    if not (batch.bounds.epsilon > 0).any():
        return False
    noisy = np.asarray(norms.random_start(batch.keys, norm, batch.bounds))
    return attacked.observe(noisy).confidence.mean() < confidence_after().mean()


def rejected_before(targets: Targets, before: Observation) -> bool:
    """Whether more than a tenth of the images were rejected before the attack."""
    return bool(targets.detectors) and before.rejected.any(axis=1).mean() > 0.1
