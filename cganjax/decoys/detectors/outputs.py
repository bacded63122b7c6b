"""Detectors that score a classifier's outputs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from cganjax import scores as scores_of
from cganjax.decoys.detectors.entry import Score


def msp(classifier: Callable, kind: str) -> Score:
    """1 - the highest softmax probability. Hendrycks and Gimpel (arXiv 1610.02136), section 2."""
    return lambda images: scores_of.uncertainty(scores_of.outputs(classifier, images), kind)


def max_logit(classifier: Callable, kind: str) -> Score:
    """-(the highest logit). Hendrycks et al. (arXiv 1911.11132), section 3."""
    return lambda images: -jnp.max(scores_of.outputs(classifier, images), axis=-1)


def energy(classifier: Callable, kind: str, *, temperature: float = 1.0) -> Score:
    """-T log sum exp(logits / T), Liu et al. (arXiv 2010.03759), eq. 4.

    With one sigmoid per class it is the joint energy, -sum log(1 + exp(logit)): Wang et al. (arXiv 2109.14162).
    """

    def score(images):
        outputs = scores_of.outputs(classifier, images)
        if kind == "sigmoid":
            return -jnp.sum(jax.nn.softplus(outputs), axis=-1)
        return -temperature * jax.nn.logsumexp(outputs / temperature, axis=-1)

    return score


def odin(classifier: Callable, kind: str, *, temperature: float = 1000.0, magnitude: float = 0.0014) -> Score:
    """1 - the highest softmax probability at temperature T, after a small step that raises it.

    Liang et al., "Enhancing the reliability of out-of-distribution image detection" (arXiv 1706.02690), eq. 1 and 2.
    """

    def log_odds(images):
        return scores_of.log_odds(scores_of.outputs(classifier, images) / temperature, kind)

    def score(images):
        slope = jax.grad(lambda x: log_odds(x).sum())(jnp.asarray(images))
        return jax.nn.sigmoid(-log_odds(jnp.clip(images + magnitude * jnp.sign(slope), 0.0, 1.0)))

    return score
