"""What a classifier's outputs are, and the confidences that follow from them.

"logits" belong to a softmax over the classes, "sigmoid" to one sigmoid per class, "probabilities" are confidences.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import checks, parallel
from cganjax.types import BadArgument, BadType

KINDS = ("logits", "sigmoid", "probabilities")
CHUNK = 500  # images shown to a classifier at once
CHUNKS = (8, 32, 128, CHUNK)  # the same, of what is compiled: no number of images is compiled for


def kind_of(classifier: Callable, scores: str | None = None) -> str:
    """The kind of a classifier's outputs: `scores` if given, else the classifier's own `.scores`, else "logits".

    Raises:
      ValueError: it is none of `KINDS`.
    """
    kind = scores if scores is not None else getattr(classifier, "scores", "logits")
    if not isinstance(kind, str) or kind not in KINDS:
        raise BadArgument(f"scores is {checks.shown(kind)}: expected one of {', '.join(KINDS)}")
    return kind


def check_classifier(classifier: Any, name: str = "classifier") -> None:
    """Raise BadType unless it can be called on images; `name` is the argument's, for the message."""
    expected = "expected a callable of images, such as cganjax.load_classifier(...)"
    if not callable(classifier):
        raise BadType(f"{name} is {checks.shown(classifier)}: {expected}")
    if hasattr(classifier, "latent_size"):  # a generator is callable too, and would complain about the shape of z
        raise BadType(f"{name} is a {type(classifier).__name__}: {expected}")


def confidences(outputs: jax.Array, scores: str) -> jax.Array:
    """The confidence of each class: outputs float [..., K] -> float [..., K] in [0, 1]."""
    return {"logits": jax.nn.softmax, "sigmoid": jax.nn.sigmoid, "probabilities": lambda x: x}[scores](outputs)


def log_odds(outputs: jax.Array, scores: str) -> jax.Array:
    """log(p / (1 - p)) of the highest confidence p: outputs float [..., K] -> float [...].

    It orders images as p does, and it still has a gradient where p rounds to 1 in float32.
    """
    if scores == "sigmoid":
        return jnp.max(outputs, axis=-1)
    if scores == "probabilities":
        outputs = jnp.log(jnp.maximum(outputs, jnp.finfo(outputs.dtype).tiny))
    top = jax.nn.one_hot(jnp.argmax(outputs, axis=-1), outputs.shape[-1], dtype=bool)
    return jnp.max(outputs, axis=-1) - jax.nn.logsumexp(jnp.where(top, -jnp.inf, outputs), axis=-1)


def uncertainty(outputs: jax.Array, scores: str) -> jax.Array:
    """1 - p of the highest confidence p, without cancellation: outputs float [..., K] -> float [...] in [0, 1]."""
    if scores == "probabilities":
        return 1.0 - jnp.max(outputs, axis=-1)
    return jax.nn.sigmoid(-log_odds(outputs, scores))


def outputs(classifier: Callable, images: Any) -> jax.Array:
    """A classifier's outputs, float [N, K]; the classifier may work on NumPy arrays.

    Raises:
      BadType: it gives anything else than real numbers.
    """
    found = checks.array("the classifier's outputs", classifier(images), "numbers [N, K]")
    if not (found.dtype == bool or checks.is_real(found.dtype)):
        raise BadType(f"the classifier's outputs are {found.dtype}: expected numbers [N, K]")
    found = jnp.asarray(found)
    return found if jnp.issubdtype(found.dtype, jnp.floating) else found.astype(jnp.float32)


def look_like_probabilities(outputs: np.ndarray) -> bool:
    """Whether no output [N, K] is negative and each row sums to 1, within 0.001."""
    return bool(outputs.min() >= 0 and np.abs(outputs.sum(axis=1) - 1).max() < 1e-3)


def check(outputs: np.ndarray, n: int, kind: str, which: str = "the classifier") -> None:
    """Check that the outputs for n images have the right shape and can be of the kind that the user named.

    Raises:
      ValueError: they are not [n, K], not finite, or said to be probabilities and out of [0, 1] or with rows that do
        not sum to 1 (within 0.01, which allows for half precision).
    """
    if outputs.ndim != 2 or len(outputs) != n or outputs.shape[1] < 2:
        raise BadArgument(
            f"{which} gives shape {outputs.shape} for {n} images: expected [N, K], one output for each class"
        )
    if not np.isfinite(outputs).all():
        raise BadArgument(
            f"{which} gives NaN or infinity for {(~np.isfinite(outputs)).any(axis=1).sum()} of {n} "
            "images: expected finite outputs"
        )
    if kind != "probabilities":
        return
    if not (outputs.min() >= 0 and outputs.max() <= 1 + 1e-3):
        raise BadArgument(
            f"{which} gives outputs in [{outputs.min():g}, {outputs.max():g}], and was said to give "
            'probabilities: expected [0, 1], or scores="logits"'
        )
    sums = outputs.sum(axis=1, dtype=np.float64)
    if np.abs(sums - 1).max() > 1e-2:
        raise BadArgument(
            f"{which} gives outputs that sum to {sums[np.abs(sums - 1).argmax()]:.3g} over the classes of "
            "an image, and was said to give probabilities: expected 1; if it has one sigmoid per class, give the "
            'logits, log(p / (1 - p)), and scores="sigmoid"'
        )


def trace_error(function: Callable, shape: tuple[int, ...]) -> Exception | None:
    """The error that JAX raises when it traces a function of images of this shape [H, W, C], or None."""
    try:
        # Through a function of ours: JAX refers weakly to what it traces, and some callables cannot be referred to so.
        jax.eval_shape(lambda images: function(images), jax.ShapeDtypeStruct((2, *shape), jnp.float32))
    except Exception as error:  # the user's own code ran, so the error can be of any type
        return error
    return None


def in_chunks(function: Callable, images: Any, *, compiled: bool = False) -> Any:
    """Apply a function of images to `CHUNK` of them at a time; under a JAX transformation, to all at once.

    With `compiled` it is a jitted function: images are repeated to fill the next size of `CHUNKS`.
    """
    return parallel.chunked(function, images, CHUNKS if compiled else CHUNK, pad=compiled, threads=compiled)


def confidences_of(classifier: Callable, images: Any, scores: str | None = None) -> np.ndarray:
    """The confidence of each class for any number of images: float32 [N, K]."""
    kind = kind_of(classifier, scores)
    return np.asarray(in_chunks(lambda x: confidences(outputs(classifier, x), kind), images))


def predictions_of(classifier: Callable, images: Any, scores: str | None = None) -> np.ndarray:
    """The class of the highest confidence for any number of images: int [N]."""
    return confidences_of(classifier, images, scores).argmax(axis=1)
