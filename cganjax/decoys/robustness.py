"""The classic robustness curve of a classifier: attacks that raise the loss, accuracy against their size.

Pixels are in [0, 1] throughout. A classifier is any pure callable from images [N, H, W, C] to logits [N, K]: the same
object, with the same arrays in its `.params` if it has them, is the same function, and is compiled once.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cganjax import checks, rng
from cganjax.decoys.attacks import gradient, norms, objectives, parts
from cganjax.decoys.attacks.table import MOST
from cganjax.types import BadArgument

EPSILONS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-log softmax(logits)[label]: logits [N, K], labels int [N] -> [N]."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def nll_of_logits(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-logits[label], as if logits were passed to a negative log-likelihood that expects log probabilities."""
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
    return jax.vmap(lambda epsilon: _moved(images, sign, epsilon))(epsilons)


def _moved(images: jax.Array, sign: jax.Array, epsilon: jax.Array) -> jax.Array:
    return jnp.clip(images + epsilon * sign, 0.0, 1.0)


class Curve(NamedTuple):
    """Accuracy against the size of the attack, and what the classifier predicted."""

    accuracy: np.ndarray  # float64 [E]: an image that is wrong before the attack stays wrong
    clean: np.ndarray  # int [N], predictions before the attack
    attacked: np.ndarray  # int [E, N], predictions after it


def curve(
    classifier: Callable[[jax.Array], jax.Array],
    images: np.ndarray,
    labels: np.ndarray,
    epsilons: Sequence[float] = EPSILONS,
    loss: Callable[[jax.Array, jax.Array], jax.Array] = cross_entropy,
    *,
    chunk: int | None = None,
) -> Curve:
    """Attack every image at every size, `chunk` images at a time.

    Args:
      images: float [N, H, W, C] in [0, 1]. labels: int [N]. The rest as `fgsm`.
      chunk: None chooses what is fast here, see `attacks.parts.at_once`.

    Raises:
      ValueError: no image, or not as many labels; a chunk below 1.
    """
    _check(images, labels, chunk)
    held = objectives.Held(classifier)

    def of_part(rows):
        part, truth = rows
        predictions, sign = _look(held, loss, part, truth)
        # Sizes one by one, not in a loop of XLA: see attacks/gradient.py.
        return predictions, [
            _predictions_moved(held, part, sign, epsilon) for epsilon in np.asarray(epsilons, np.float32)
        ]

    clean, attacked = _in_parts(of_part, (images, labels), chunk)
    attacked = np.stack(attacked)
    return Curve(((attacked == labels) & (clean == labels)).mean(axis=1), clean, attacked)


def _check(images, labels, chunk: int | None, steps: int = 1) -> None:
    if len(images) == 0 or len(images) != len(labels):
        raise BadArgument(f"{len(images)} images and {len(labels)} labels were given: expected as many, at least one")
    if chunk is not None:
        checks.whole("chunk", chunk, 1)
    checks.whole("steps", steps, 1, MOST)


def _in_parts(function: Callable, rows: tuple, chunk: int | None):
    """A function of rows, a chunk at a time, on the device."""
    size = min(parts.at_once() if chunk is None else chunk, len(rows[0]))
    return parts.in_parts(lambda part: function(jax.tree.map(jnp.asarray, part)), rows, size, threads=True)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _look(classifier, loss, images, labels):
    """Predictions, and the sign of the loss's gradient, from one forward pass."""
    logits, pullback = jax.vjp(classifier, images)
    return logits.argmax(axis=-1), jnp.sign(pullback(jax.grad(lambda x: loss(x, labels).sum())(logits))[0])


@functools.partial(jax.jit, static_argnums=0)
def _predictions_moved(classifier, images, sign, epsilon):
    return classifier(_moved(images, sign, epsilon)).argmax(axis=-1)


@functools.partial(jax.jit, static_argnums=0)
def _predictions(classifier, images):
    return classifier(images).argmax(axis=-1)


class _Right(NamedTuple):
    """What falls as the cross-entropy rises; hashable, so that a compiled step is found again."""

    classifier: Callable[[jax.Array], jax.Array]

    def __call__(self, images: jax.Array, labels: jax.Array) -> jax.Array:
        return -cross_entropy(self.classifier(images), labels)


def pgd(
    key: jax.Array,
    classifier: Callable[[jax.Array], jax.Array],
    images: np.ndarray,
    labels: np.ndarray,
    epsilon: float,
    *,
    steps: int = 40,
    random_start: bool = True,
    chunk: int | None = None,
) -> np.ndarray:
    """Images after projected gradient steps up the cross-entropy, L-infinity: float32 [N, H, W, C] in [0, 1].

    A step is 2.5 epsilon / `steps`; the image of the highest loss counts.

    Args:
      key: image i starts from (key, i), whatever the chunk.
      images: float [N, H, W, C] in [0, 1]. labels: int [N], the true classes.
      random_start: begin anywhere within epsilon, not at the image.
      chunk: as of `curve`.

    Raises:
      ValueError: as of `curve`; no step.

    References:
      Madry et al., "Towards deep learning models resistant to adversarial attacks" (arXiv 1706.06083), section 2.1.
    """
    _check(images, labels, chunk, steps)
    settings = gradient.Descent(steps=steps, share=min(1.0, 2.5 / steps), random_start=random_start)
    objective = _Right(objectives.Held(classifier))

    def of_part(rows):
        keys, part, truth = rows
        bounds = norms.Bounds(part, jnp.full(len(part), epsilon, jnp.float32), jnp.ones_like(part))
        return gradient.descend(keys, objective, bounds, truth, "linf", settings)[0]

    return _in_parts(of_part, (rng.items(key, len(images)), images, labels), chunk)


def pgd_accuracy(
    key: jax.Array,
    classifier: Callable[[jax.Array], jax.Array],
    images: np.ndarray,
    labels: np.ndarray,
    epsilons: Sequence[float] = EPSILONS,
    *,
    steps: int = 40,
    chunk: int | None = None,
) -> np.ndarray:
    """Accuracy under projected gradient steps up the cross-entropy, from one random start: float64 [E].

    FGSM flatters a classifier that was trained against it, and a step of it cannot follow a curved loss; this is the
    figure to trust of the two. The attack is `pgd`, at each size.

    Args:
      images: float [N, H, W, C] in [0, 1]. labels: int [N]. The rest as `pgd` and `curve`.
    """
    _check(images, labels, chunk, steps)
    held = objectives.Held(classifier)

    def right(images: np.ndarray) -> np.ndarray:
        return _in_parts(lambda part: _predictions(held, *part), (images,), chunk) == labels

    before, found = right(images), []
    for epsilon in epsilons:
        attacked = pgd(key, classifier, images, labels, epsilon, steps=steps, chunk=chunk)
        found.append((right(attacked) & before).mean())
    return np.array(found)
