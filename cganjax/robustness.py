"""The classic robustness curve of a classifier: attacks that raise the loss, accuracy against their size.

Pixels are in [0, 1] throughout. A classifier is any callable from images [N, H, W, C] to logits [N, K].
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cganjax import rng
from cganjax.attacks import gradient, norms

EPSILONS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-log softmax(logits)[label]: logits [N, K], labels int [N] -> [N]."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def nll_of_logits(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-logits[label], as where logits are handed to a negative log-likelihood that expects log probabilities."""
    return -jnp.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]


LOSSES: Mapping[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "cross_entropy": cross_entropy,
    "nll_of_logits": nll_of_logits,
}


def fgsm(
    classifier: Callable[[jax.Array], jax.Array],
    images: jax.Array,
    labels: jax.Array,
    epsilons: jax.Array,
    loss: Callable[[jax.Array, jax.Array], jax.Array] = cross_entropy,
) -> jax.Array:
    """The fast gradient sign method, x' = clip(x + epsilon sign(grad_x loss), 0, 1), at several sizes.

    Args:
      classifier: images [N, H, W, C] in [0, 1] -> logits [N, K]; image i decides row i alone.
      images: float [N, H, W, C] in [0, 1].
      labels: int [N], the true classes.
      epsilons: float [E], in units of the pixels.
      loss: (logits [N, K], labels [N]) -> [N].

    Returns:
      float [E, N, H, W, C] in [0, 1]; one gradient serves all sizes.

    References:
      Goodfellow et al., "Explaining and harnessing adversarial examples" (arXiv 1412.6572), section 4.
    """
    sign = jnp.sign(jax.grad(lambda x: loss(classifier(x), labels).sum())(images))
    return jax.vmap(lambda epsilon: jnp.clip(images + epsilon * sign, 0.0, 1.0))(epsilons)


class Curve(NamedTuple):
    """Accuracy against the size of the attack, and what the classifier answered."""

    accuracy: np.ndarray  # float64 [E]: an image that is wrong before the attack stays wrong
    clean: np.ndarray  # int [N], answers before the attack
    attacked: np.ndarray  # int [E, N], answers after it


def curve(
    classifier: Callable[[jax.Array], jax.Array],
    images: np.ndarray,
    labels: np.ndarray,
    epsilons: Sequence[float] = EPSILONS,
    loss: Callable[[jax.Array, jax.Array], jax.Array] = cross_entropy,
    *,
    chunk: int = 500,
) -> Curve:
    """Attack every image at every size, `chunk` images at a time.

    Args:
      images: float [N, H, W, C] in [0, 1]. labels: int [N]. The rest as `fgsm`.

    Raises:
      ValueError: no image, or not as many labels.
    """
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(f"{len(images)} images and {len(labels)} labels were given: expected as many, at least one")

    @jax.jit
    def answers(images, labels):
        attacked = fgsm(classifier, images, labels, jnp.asarray(epsilons, jnp.float32), loss)
        return classifier(images).argmax(axis=-1), jax.lax.map(lambda x: classifier(x).argmax(axis=-1), attacked)

    starts = range(0, len(images), chunk)
    pieces = [answers(images[i : i + chunk], labels[i : i + chunk]) for i in starts]  # the device works ahead
    clean = np.concatenate([np.asarray(c) for c, _ in pieces])
    attacked = np.concatenate([np.asarray(a) for _, a in pieces], axis=1)
    return Curve(((attacked == labels) & (clean == labels)).mean(axis=1), clean, attacked)


def pgd_accuracy(
    key: jax.Array,
    classifier: Callable[[jax.Array], jax.Array],
    images: np.ndarray,
    labels: np.ndarray,
    epsilons: Sequence[float] = EPSILONS,
    *,
    steps: int = 40,
    chunk: int = 500,
) -> np.ndarray:
    """Accuracy under projected gradient steps up the cross-entropy, from one random start: float64 [E].

    FGSM flatters a classifier that was trained against it, and a step of it cannot follow a curved loss; this is the
    figure to trust of the two. A step is 2.5 epsilon / `steps`; the image of the highest loss counts.

    Args:
      key: image i starts from (key, i), whatever the chunk.
      images: float [N, H, W, C] in [0, 1]. labels: int [N]. The rest as `curve`.

    References:
      Madry et al., "Towards deep learning models resistant to adversarial attacks" (arXiv 1706.06083), section 2.1.
    """
    settings = gradient.Descent(steps=steps, share=min(1.0, 2.5 / steps), random_start=True)
    keys, answers = rng.items(key, len(images)), jax.jit(lambda x: classifier(x).argmax(axis=-1))

    def right(images, labels):
        return -cross_entropy(classifier(images), labels)

    found = []
    for epsilon in epsilons:
        kept = 0
        for i in range(0, len(images), chunk):
            rows = slice(i, i + chunk)
            sizes = jnp.full(len(images[rows]), epsilon, jnp.float32)
            bounds = norms.Bounds(jnp.asarray(images[rows]), sizes, jnp.ones_like(images[rows]))
            attacked, _ = gradient.descend(keys[rows], right, bounds, labels[rows], "linf", settings)
            kept += int(((answers(attacked) == labels[rows]) & (answers(images[rows]) == labels[rows])).sum())
        found.append(kept / len(images))
    return np.array(found)
