"""What a classifier's numbers are, and the confidences that follow from them.

"logits" belong to a softmax over the classes, "sigmoid" to one sigmoid a class, "probabilities" are confidences.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import parallel

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


def look_like_probabilities(numbers: np.ndarray) -> bool:
    """Whether none of the numbers [N, K] is negative and each row sums to 1, to a part in 1,000."""
    return bool(numbers.min() >= 0 and np.abs(numbers.sum(axis=1) - 1).max() < 1e-3)


def check(numbers: np.ndarray, n: int, kind: str, which: str = "the classifier") -> None:
    """Numbers of n images that can be what they were said to be.

    Raises:
      ValueError: they are not [n, K], not finite, or said to be probabilities and out of [0, 1] or rows of them do not
        sum to 1 (to 0.01, for half precision).
    """
    if numbers.ndim != 2 or len(numbers) != n or numbers.shape[1] < 2:
        raise ValueError(
            f"{which} gives shape {numbers.shape} for {n} images: expected [N, K], one number for each class"
        )
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"{which} gives NaN or infinity for {(~np.isfinite(numbers)).any(axis=1).sum()} of {n} "
            "images: expected finite numbers"
        )
    if kind != "probabilities":
        return
    if not (numbers.min() >= 0 and numbers.max() <= 1 + 1e-3):
        raise ValueError(
            f"{which} gives numbers in [{numbers.min():g}, {numbers.max():g}], and was said to give "
            'probabilities: expected [0, 1], or scores="logits"'
        )
    sums = numbers.sum(axis=1, dtype=np.float64)
    if np.abs(sums - 1).max() > 1e-2:
        raise ValueError(
            f"{which} gives numbers that sum to {sums[np.abs(sums - 1).argmax()]:.3g} over the classes of "
            "an image, and was said to give probabilities: expected 1; of one sigmoid a class give the "
            'logits, log(p / (1 - p)), and scores="sigmoid"'
        )


def trace_error(function: Callable, shape: tuple[int, ...]) -> Exception | None:
    """What JAX says when it traces a function of images [N, H, W, C] of this shape [H, W, C]; None where it can."""
    try:
        # Through a function of ours: JAX refers weakly to what it traces, and some callables cannot be referred to so.
        jax.eval_shape(lambda images: function(images), jax.ShapeDtypeStruct((2, *shape), jnp.float32))
    except Exception as error:  # of any kind: it is someone's own code that was run
        return error
    return None


def in_chunks(function: Callable, images: Any) -> Any:
    """A function of images, `CHUNK` of them at a time; under a transformation all at once (see `parallel.chunked`)."""
    return parallel.chunked(function, images, CHUNK)


def confidences_of(classifier: Callable, images: Any, scores: str | None = None) -> np.ndarray:
    """The confidence of each class for any number of images: float32 [N, K]."""
    kind = kind_of(classifier, scores)
    return np.asarray(in_chunks(lambda x: confidences(numbers(classifier, x), kind), images))
