"""What is doubtful about an attack's figures, found by looking at them once more; docs/doubts.md explains each."""

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import scores
from cganjax.decoys.attacks import norms
from cganjax.decoys.attacks.batches import Batch
from cganjax.decoys.attacks.objectives import Goal
from cganjax.decoys.judging import Judge, Seen

FEW = 100  # images that are looked at once more


class Doubt(UserWarning):
    """Something about an attack that its figures do not show; docs/doubts.md explains each."""


DOUBTS = {
    "zero_gradient": "the gradient is zero or not finite on some images, so that nothing was attacked there",
    "random_classifier": "the classifier answers the same image differently each time",
    "probabilities_as_logits": 'its numbers are probabilities, and were taken as logits: give scores="probabilities"',
    "noise_beats_gradient": "random noise of the same size lowers the confidence more than the attack did",
    "rejected_before": "more than a tenth of the images were rejected before the attack: count them apart",
}


def doubtful(
    judge: Judge, goal: Goal, batch: Batch, norm: str, before: Seen, after: Seen, *, by_gradient: bool
) -> tuple[str, ...]:
    """The names in `DOUBTS` of what is doubtful; gradients, noise and a second look are of the first `FEW` images.

    Args:
      before, after: what the judge saw of the clean images and of the decoys.
      by_gradient: the attack went along gradients by pixels.
    """
    few = jax.tree.map(lambda x: x[:FEW], batch._replace(generator=None))
    clean, found = few.bounds.clean, []
    if by_gradient:
        slope = jax.grad(lambda x: goal(x, jnp.asarray(few.labels)).sum())(jnp.asarray(clean))
        steepest = np.abs(slope).max(axis=(1, 2, 3))
        if not (np.isfinite(steepest) & (steepest > 0)).all():
            found.append("zero_gradient")
    again = judge.look(clean)
    if any(
        np.abs(a - b[:FEW]).max() > 1e-3 * max(1.0, np.abs(a).max())
        for a, b in zip(again.numbers, before.numbers, strict=True)
    ):
        found.append("random_classifier")
    for numbers, kind in zip(before.numbers, judge.kinds, strict=True):
        if kind == "logits" and scores.look_like_probabilities(numbers):
            found.append("probabilities_as_logits")
            break
    if by_gradient and (few.bounds.epsilon > 0).any():
        noisy = np.asarray(norms.random_start(few.keys, norm, few.bounds))
        if judge.look(noisy).confidence.mean() < after.confidence[:FEW].mean():
            found.append("noise_beats_gradient")
    if judge.detectors and before.rejected.any(axis=1).mean() > 0.1:
        found.append("rejected_before")
    return tuple(found)
