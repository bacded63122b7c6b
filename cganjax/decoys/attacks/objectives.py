"""What a decoy attack lowers: functions of a classifier's outputs, and the `Goal` that averages them.

None of them saturates: each has a gradient where the highest probability rounds to 1 in float32.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import checks, scores


def _logits(outputs: jax.Array, kind: str) -> jax.Array:
    """Numbers float [N, K] whose softmax, or whose sigmoids, are the confidences."""
    return jnp.log(jnp.maximum(outputs, jnp.finfo(outputs.dtype).tiny)) if kind == "probabilities" else outputs


def confidence(outputs: jax.Array, kind: str) -> jax.Array:
    """The log-odds of the highest confidence, which order as the confidence does."""
    return scores.log_odds(outputs, kind)


def uniform(outputs: jax.Array, kind: str) -> jax.Array:
    """The distance of the logits from equal ones, their standard deviation over the classes.

    Towards the uniform distribution, as in Chen et al., "Robust out-of-distribution detection for neural networks"
    (ALOE, arXiv 2003.09711), eq. 4, with a distance instead of the cross-entropy. One sigmoid per class is no
    distribution, and equal ones may all be high: for those it is `softplus`, which lowers every one.
    """
    if kind == "sigmoid":
        return softplus(outputs, kind)
    logits = _logits(outputs, kind)
    centred = logits - jnp.mean(logits, axis=-1, keepdims=True)
    return jnp.sqrt(jnp.mean(centred**2, axis=-1) + 1e-6)


def margin(outputs: jax.Array, kind: str) -> jax.Array:
    """The highest logit less their mean; of sigmoids the highest logit."""
    if kind == "sigmoid":
        return jnp.max(outputs, axis=-1)
    logits = _logits(outputs, kind)
    return jnp.max(logits, axis=-1) - jnp.mean(logits, axis=-1)


def softplus(outputs: jax.Array, kind: str) -> jax.Array:
    """The sum over the classes of log(1 + exp(logit)): every output is lowered, those that are low already less."""
    return jnp.sum(jax.nn.softplus(_logits(outputs, kind)), axis=-1)


def surest(outputs: jax.Array, kind: str) -> jax.Array:
    """The fourth power of the log-odds of the highest confidence, from -2 up.

    In the mean over an ensemble the surest classifier weighs most: one that is unsure already pulls no more, however
    steep its logits are.
    """
    return jax.nn.relu(confidence(outputs, kind) + 2.0) ** 4


OBJECTIVES: Mapping[str, Callable[[jax.Array, str], jax.Array]] = {
    "confidence": confidence,
    "margin": margin,  # of sigmoids the same as confidence
    "softplus": softplus,
    "surest": surest,
    "uniform": uniform,  # of sigmoids the same as softplus
}
# What "auto" is, for one classifier and for an ensemble.
AUTO = {"logits": ("confidence", "surest"), "sigmoid": ("softplus", "surest")}
AUTO["probabilities"] = AUTO["logits"]

LOST = 1e9  # it has no gradient, and ranks images that lost the label behind all others


class Held:
    """A classifier as a key of compiled programs: by identity, of one that has no hash too.

    One whose `.params` hold other arrays than before is another. What changes elsewhere, or within a NumPy array, is
    not seen.
    """

    def __init__(self, classifier: Callable):
        self._classifier = classifier
        leaves = jax.tree.leaves(getattr(classifier, "params", None))
        self._arrays = [x for x in leaves if isinstance(x, (jax.Array, np.ndarray))]

    def __call__(self, images: jax.Array) -> jax.Array:
        """What it answers."""
        return self._classifier(images)

    def __hash__(self) -> int:
        return id(self._classifier)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Held) or self._classifier is not other._classifier:
            return False
        mine, others = self._arrays, other._arrays
        return len(mine) == len(others) and all(a is b for a, b in zip(mine, others, strict=True))


class Goal(NamedTuple):
    """What is lowered for one classifier or an ensemble; hashable, so that a compiled step is found again.

    Called with images [N, H, W, C] and the class [N, M] that each of M classifiers should keep as its highest.
    """

    classifiers: tuple[Callable, ...]
    kinds: tuple[str, ...]  # what the outputs of each are
    objectives: tuple[str, ...]  # a key of OBJECTIVES for each
    keep: float  # weight of the term that keeps each arg max; 0 is none
    lead: float = 0.1  # by how much the kept class should lead, in logits

    def __call__(self, images: jax.Array, labels: jax.Array) -> jax.Array:
        """The mean over the classifiers: float [N]."""
        total = jnp.zeros(len(images), jnp.float32)
        for m, (classifier, kind, objective) in enumerate(zip(*self[:3], strict=True)):
            outputs = scores.outputs(classifier, images)
            total += OBJECTIVES[objective](outputs, kind)
            if self.keep:
                total += self.keep * _lost(_logits(outputs, kind), labels[:, m], self.lead)
        return total / len(self.classifiers)

    def confidence(self, images: jax.Array, labels: jax.Array) -> jax.Array:
        """The highest confidence, its mean over the classifiers; `LOST` where a label to keep is lost: float [N]."""
        highest, lost = [], jnp.zeros(len(images), bool)
        for m, (classifier, kind) in enumerate(zip(self.classifiers, self.kinds, strict=True)):
            outputs = scores.outputs(classifier, images)
            highest.append(scores.confidences(outputs, kind).max(axis=-1))
            lost |= jnp.argmax(outputs, axis=-1) != labels[:, m]
        mean = sum(highest) / len(highest)
        return jnp.where(lost, LOST, mean) if self.keep else mean


def _lost(logits: jax.Array, labels: jax.Array, lead: float) -> jax.Array:
    """By how much the class to keep fails to lead, and `LOST` where it is not the highest: float [N]."""
    kept = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    behind = jnp.max(jnp.where(kept, -jnp.inf, logits), axis=-1) - jnp.sum(jnp.where(kept, logits, 0.0), axis=-1)
    return jax.nn.relu(behind + lead) + jnp.where(behind > 0, LOST, 0.0)


def choose(objective: str, kind: str, *, several: bool) -> str:
    """The objective of that name for outputs of a kind; "auto" is the one of `AUTO`.

    Raises:
      BadArgument: it is unknown; the known are listed.
    """
    checks.one_of("objective", objective, ("auto", *OBJECTIVES))
    return AUTO[kind][several] if objective == "auto" else objective
