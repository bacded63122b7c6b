"""What a classifier's numbers are, and the confidences that follow from them.

"logits" belong to a softmax over the classes, "sigmoid" to one sigmoid a class, "probabilities" are confidences.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

KINDS = ("logits", "sigmoid", "probabilities")
CHUNK = 500  # images shown to a classifier at once


def kind_of(classifier: Callable, scores: str | None = None) -> str:
    """What the numbers of a classifier are: as said, else as its `scores` say, else "logits".

    Raises:
      ValueError: it is none of `KINDS`.
    """
    kind = scores if scores is not None else getattr(classifier, "scores", "logits")
    if kind not in KINDS:
        raise ValueError(f"scores is {kind!r}: expected one of {', '.join(KINDS)}")
    return kind


def confidences(numbers: jax.Array, scores: str) -> jax.Array:
    """The confidence of each class: numbers float [..., K] -> float [..., K] in [0, 1]."""
    return {"logits": jax.nn.softmax, "sigmoid": jax.nn.sigmoid, "probabilities": lambda x: x}[scores](numbers)


def log_odds(numbers: jax.Array, scores: str) -> jax.Array:
    """log(p / (1 - p)) of the highest confidence p: numbers float [..., K] -> float [...].

    It orders as p does, and goes on where p itself rounds to 1 in float32 and has no gradient left.
    """
    if scores == "sigmoid":
        return jnp.max(numbers, axis=-1)
    if scores == "probabilities":
        numbers = jnp.log(jnp.maximum(numbers, jnp.finfo(numbers.dtype).tiny))
    top = jax.nn.one_hot(jnp.argmax(numbers, axis=-1), numbers.shape[-1], dtype=bool)
    return jnp.max(numbers, axis=-1) - jax.nn.logsumexp(jnp.where(top, -jnp.inf, numbers), axis=-1)


def doubt(numbers: jax.Array, scores: str) -> jax.Array:
    """1 - p of the highest confidence p, without cancellation: numbers float [..., K] -> float [...] in [0, 1]."""
    if scores == "probabilities":
        return 1.0 - jnp.max(numbers, axis=-1)
    return jax.nn.sigmoid(-log_odds(numbers, scores))


def numbers(classifier: Callable, images: Any) -> jax.Array:
    """A classifier's numbers float [N, K], of a model on NumPy arrays too."""
    found = jnp.asarray(classifier(images))
    return found if jnp.issubdtype(found.dtype, jnp.floating) else found.astype(jnp.float32)


def trace_error(function: Callable, shape: tuple[int, ...]) -> Exception | None:
    """What JAX says when it traces a function of images [N, H, W, C] of this shape [H, W, C]; None where it can."""
    try:
        # Through a function of ours: JAX refers weakly to what it traces, and some callables cannot be referred to so.
        jax.eval_shape(lambda images: function(images), jax.ShapeDtypeStruct((2, *shape), jnp.float32))
    except Exception as error:  # of any kind: it is someone's own code that was run
        return error
    return None


def in_chunks(function: Callable, images: Any) -> Any:
    """A function of images, `CHUNK` of them at a time; under a transformation in one piece."""
    if isinstance(images, jax.core.Tracer) or len(images) <= CHUNK:
        return function(images)
    parts = [function(images[i : i + CHUNK]) for i in range(0, len(images), CHUNK)]
    return np.concatenate([np.asarray(part) for part in parts])


def confidences_of(classifier: Callable, images: Any, scores: str | None = None) -> np.ndarray:
    """The confidence of each class for any number of images: float32 [N, K]."""
    kind = kind_of(classifier, scores)
    return np.asarray(in_chunks(lambda x: confidences(numbers(classifier, x), kind), images))
