"""Out-of-distribution detectors: a score that is larger for stranger images, and a threshold from real ones.

`calibrate` makes one; `DETECTORS` is the table of them. What a detector is told of real images besides its threshold it
learns from every second of them, and takes the threshold from the others.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import pixels
from cganjax import scores as scores_of

Score = Callable[[jax.Array], jax.Array]  # images [N, H, W, C] -> [N], larger is more out-of-distribution


class Detector(NamedTuple):
    """A calibrated detector; make one with `cganjax.calibrate`."""

    name: str
    score: Score  # images [N, H, W, C] in [0, 1] -> [N], larger is more out-of-distribution; pure where its model is
    threshold: float  # images that score above it are rejected

    def rejects(self, images: Any) -> jax.Array:
        """Images [N, H, W, C] in [0, 1] -> bool [N]; ValueError where they are out of it, or NaN."""
        if not isinstance(images, jax.core.Tracer):
            images = pixels.check_unit(images)
        return self.score(images) > self.threshold


# --- scores of numbers ------------------------------------------------------------------------------------------------


def msp(classifier: Callable, kind: str) -> Score:
    """1 - the highest softmax probability. Hendrycks and Gimpel (arXiv 1610.02136), section 2."""
    return lambda images: scores_of.doubt(scores_of.numbers(classifier, images), kind)


def max_logit(classifier: Callable, kind: str) -> Score:
    """-(the highest logit). Hendrycks et al. (arXiv 1911.11132), section 3."""
    return lambda images: -jnp.max(scores_of.numbers(classifier, images), axis=-1)


def energy(classifier: Callable, kind: str, *, temperature: float = 1.0) -> Score:
    """-T log sum exp(logits / T), Liu et al. (arXiv 2010.03759), eq. 4.

    Of one sigmoid a class the joint energy, -sum log(1 + exp(logit)): Wang et al. (arXiv 2109.14162).
    """

    def score(images):
        numbers = scores_of.numbers(classifier, images)
        if kind == "sigmoid":
            return -jnp.sum(jax.nn.softplus(numbers), axis=-1)
        return -temperature * jax.nn.logsumexp(numbers / temperature, axis=-1)

    return score


def odin(classifier: Callable, kind: str, *, temperature: float = 1000.0, magnitude: float = 0.0014) -> Score:
    """1 - the highest softmax probability at temperature T, after a small step that raises it.

    Liang et al., "Enhancing the reliability of out-of-distribution image detection" (arXiv 1706.02690), eq. 1 and 2.
    """

    def log_odds(images):
        return scores_of.log_odds(scores_of.numbers(classifier, images) / temperature, kind)

    def score(images):
        slope = jax.grad(lambda x: log_odds(x).sum())(jnp.asarray(images))
        return jax.nn.sigmoid(-log_odds(jnp.clip(images + magnitude * jnp.sign(slope), 0.0, 1.0)))

    return score


# --- scores of features -----------------------------------------------------------------------------------------------


def mahalanobis(
    classifier: Callable, kind: str, real: np.ndarray, labels: np.ndarray | None, *, unit: bool = False
) -> Score:
    """The squared Mahalanobis distance to the nearest class mean, with one covariance for all, of the last features.

    Lee et al., "A simple unified framework for detecting out-of-distribution samples" (arXiv 1807.03888), eq. 1 and 2.
    Classes are the labels where they are given, else the classifier's answers. With `unit` features are taken at
    length 1: Mueller and Hein, "Mahalanobis++: improving OOD detection via feature normalization" (ICML 2025).
    """

    def look(images):
        x = classifier.features(images)
        return _unit(x) if unit else x

    features = np.asarray(scores_of.in_chunks(look, real), np.float64)  # [N, D]
    if len(features) <= features.shape[1]:
        raise ValueError(
            f"mahalanobis learns a covariance of {features.shape[1]} features from {len(features)} images "
            "(every second one): give more than twice as many as there are features"
        )
    answers = np.asarray(scores_of.in_chunks(classifier, real)).argmax(axis=1) if labels is None else np.asarray(labels)
    classes = np.unique(answers)
    means = np.stack([features[answers == k].mean(axis=0) for k in classes])  # [K, D]
    centred = features - means[np.searchsorted(classes, answers)]
    covariance = centred.T @ centred / len(features)
    # Features that never move (a ReLU that is never on) have no variance; a part in 10^6 of the mean one stands for it.
    covariance += 1e-6 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    whiten = np.linalg.cholesky(np.linalg.inv(covariance))  # x S^-1 x = |x whiten|^2
    whiten, means = jnp.asarray(whiten, jnp.float32), jnp.asarray(means @ whiten, jnp.float32)

    def score(images):
        return jnp.min(_squared_distances(look(images) @ whiten, means), axis=1)

    return score


def knn(classifier: Callable, kind: str, real: np.ndarray, labels: np.ndarray | None, *, k: int = 10) -> Score:
    """The distance to the k-th nearest real image, of the last features at length 1.

    Sun et al., "Out-of-distribution detection with deep nearest neighbors" (arXiv 2204.06507), section 3.
    """
    del labels
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k is {k!r}: expected a whole number of at least 1")
    if len(real) < k:
        raise ValueError(f"knn takes neighbour number {k}, and learns from {len(real)} images: give more images")

    def look(images):
        return _unit(classifier.features(images))

    bank = jnp.asarray(scores_of.in_chunks(look, real))  # [M, D]

    def score(images):
        nearest, _ = jax.lax.top_k(-_squared_distances(look(images), bank), k)
        return jnp.sqrt(jnp.maximum(-nearest[:, -1], 0.0))

    return score


def _unit(x: jax.Array) -> jax.Array:
    """Rows [N, D] at length 1."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _squared_distances(x: jax.Array, y: jax.Array) -> jax.Array:
    """[N, D] and [M, D] -> [N, M]."""
    return jnp.sum(x**2, axis=1)[:, None] - 2.0 * x @ y.T + jnp.sum(y**2, axis=1)[None]


# --- the table --------------------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """A detector before it is calibrated."""

    make: Callable[..., Score]
    scores: tuple[str, ...]  # the kinds of numbers that it takes
    learns: bool = False  # it learns from real images, by the classifier's features
    gradient: bool = False  # it needs the classifier's gradient


DETECTORS: Mapping[str, Kind] = {
    "energy": Kind(energy, ("logits", "sigmoid")),
    "knn": Kind(knn, scores_of.KINDS, learns=True),
    "mahalanobis": Kind(mahalanobis, scores_of.KINDS, learns=True),
    "max_logit": Kind(max_logit, ("logits", "sigmoid")),
    "max_sigmoid": Kind(msp, ("sigmoid",)),  # the same complement, of the highest sigmoid
    "msp": Kind(msp, ("logits", "probabilities")),
    "odin": Kind(odin, ("logits",), gradient=True),
}
CONFIDENCE = {"logits": "msp", "sigmoid": "max_sigmoid", "probabilities": "msp"}  # what reads the confidence itself


def fitting(classifier: Callable, scores: str | None = None, *, shape: tuple[int, ...] | None = None) -> list[str]:
    """The detectors that `calibrate` can make for a classifier; the first one reads the confidence itself.

    Args:
      classifier: images [N, H, W, C] -> numbers [N, K]; those of features need its `.features`.
      scores: what the numbers are, where the classifier does not say so by its own `.scores`.
      shape: [H, W, C] of its images, where it does not say so by its own `.image_shape`; without it those that need a
        gradient are left out, as they are where JAX cannot trace the classifier.
    """
    kind = scores_of.kind_of(classifier, scores)
    shape = shape or getattr(classifier, "image_shape", None)
    traced = shape is not None and scores_of.trace_error(classifier, shape) is None
    first = CONFIDENCE[kind]
    return [first] + [
        name
        for name, line in DETECTORS.items()
        if name != first
        and kind in line.scores
        and (hasattr(classifier, "features") or not line.learns)
        and (traced or not line.gradient)
    ]


def calibrate(
    name: str,
    classifier: Callable,
    real_images: Any,
    accept: float = 0.95,
    *,
    scores: str | None = None,
    labels: Any = None,
    **settings: Any,
) -> Detector:
    """Make a detector that accepts the share `accept` of real images.

    Args:
      name: a key of `detectors.DETECTORS`: "msp", "max_sigmoid", "max_logit", "energy", "odin", "mahalanobis", "knn".
      classifier: images [N, H, W, C] -> numbers [N, K]; where the detector works on features, with `.features`.
      real_images: float [N, H, W, C] in [0, 1], in-distribution and not trained on.
      accept: share of them in (0, 1) that scores at most the threshold.
      scores: what the numbers are, where the classifier does not say so by its own `.scores`.
      labels: int [N] of the real images, for "mahalanobis"; without them the classifier's answers are taken.
      **settings: the detector's own, such as `temperature` or `k`.

    Raises:
      ValueError: unknown detector (the known ones are listed), one that does not fit the numbers, images out of [0, 1],
        labels of another length, accept out of range, numbers that cannot be what `scores` says (those of the first 500
        images are looked at), scores that are not finite.
      TypeError: a detector of features and a classifier that has none, or an unknown setting.
    """
    if not isinstance(accept, (int, float, np.floating)) or not 0 < accept < 1:
        raise ValueError(f"accept is {accept!r}: expected a share between 0 and 1, such as 0.95")
    kind = scores_of.kind_of(classifier, scores)
    line = _fitting(name, kind)
    real = pixels.check_unit(real_images)
    if len(real) < 2:
        raise ValueError(f"{len(real)} real images were given: a threshold needs many, such as 5,000")
    if labels is not None and np.shape(labels) != (len(real),):
        raise ValueError(
            f"{len(real)} real images and labels of shape {np.shape(labels)} were given: expected one for each image"
        )
    known = [p.name for p in inspect.signature(line.make).parameters.values() if p.kind == p.KEYWORD_ONLY]
    for setting, value in settings.items():
        if setting not in known:
            raise TypeError(f"detector {name} has no setting {setting!r}: it has {', '.join(known) or 'none'}")
        if setting == "temperature" and not value > 0:
            raise ValueError(f"temperature is {value!r}: expected a number above 0")
    if line.learns and not hasattr(classifier, "features"):
        raise TypeError(f"detector {name} works on features, and this classifier has no .features(images): take msp")
    if line.gradient and scores_of.trace_error(classifier, real.shape[1:]) is not None:
        raise TypeError(f"detector {name} needs the classifier's gradient, and JAX cannot trace it: take msp or energy")
    inputs = (real[::2], None if labels is None else np.asarray(labels)[::2]) if line.learns else ()
    _check_numbers(classifier, kind, real[: scores_of.CHUNK])
    score = line.make(classifier, kind, *inputs, **settings)
    if scores_of.trace_error(score, real.shape[1:]) is None:
        score = jax.jit(score)
    values = scores_of.in_chunks(score, real[1::2] if line.learns else real)
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values))
        raise ValueError(
            f"{len(bad)} of {len(values)} {name} scores of real images are NaN or infinite: "
            "check the classifier's numbers"
        )
    threshold = float(np.quantile(values, accept, method="higher"))
    return Detector(name, functools.partial(scores_of.in_chunks, score), threshold)


def _check_numbers(classifier: Callable, kind: str, real: Any) -> None:
    """ValueError where the numbers of real images cannot be of their kind: a threshold on them would mean nothing."""
    numbers = np.asarray(scores_of.numbers(classifier, real))
    scores_of.check(numbers, len(real), kind)
    if kind == "logits" and scores_of.look_like_probabilities(numbers):
        raise ValueError(
            "the classifier's numbers are never negative and sum to 1 for each image, and were said to be "
            'logits: give scores="probabilities"'
        )
    # A logit within [0, 1] is a confidence of 0.5 to 0.73: no classifier has that in every class of every image.
    if kind == "sigmoid" and numbers.min() >= 0 and numbers.max() <= 1:
        raise ValueError(
            "the classifier's numbers all lie in [0, 1], and were said to be logits of one sigmoid a "
            "class: give them before the sigmoid, log(p / (1 - p))"
        )


def from_card(name: str, classifier: Callable) -> Detector:
    """The detector of a shipped classifier, with the threshold of its card; no data are needed.

    Raises:
      ValueError: the card has none for it; those that it has are listed.
    """
    line = _fitting(name, classifier.scores)
    known = classifier.card.get("thresholds", {})
    if name not in known:
        have = f"has thresholds for {', '.join(known)}" if known else "has no thresholds"
        raise ValueError(
            f"the card of {classifier.card['name']} {have}, and detector {name} was asked for: calibrate "
            "it on real images (--data-dir)"
        )
    score = jax.jit(line.make(classifier, classifier.scores))
    return Detector(name, functools.partial(scores_of.in_chunks, score), known[name]["threshold"])


def _fitting(name: str, kind: str) -> Kind:
    """The line of the table, for numbers of a kind."""
    if name not in DETECTORS:
        raise ValueError(f"unknown detector {name!r}: known are {', '.join(DETECTORS)}")
    kinds = DETECTORS[name].scores
    if kind not in kinds:
        fitting = ", ".join(n for n, d in DETECTORS.items() if kind in d.scores)
        raise ValueError(f"detector {name} takes {' or '.join(kinds)}, and the classifier gives {kind}: take {fitting}")
    return DETECTORS[name]


def figures(inliers: np.ndarray, outliers: np.ndarray) -> dict[str, float]:
    """How well scores [N] of real and [M] of strange images are told apart.

    Returns:
      auroc; aupr with outliers as the positive class; fpr95, the share of outliers accepted where 95 % of the
      inliers are (Hendrycks and Gimpel 2016; Liang et al. 2017, section 4.3).
    """
    from sklearn import metrics

    values = np.concatenate([inliers, outliers])
    strange = np.arange(len(values)) >= len(inliers)
    threshold = np.quantile(inliers, 0.95, method="higher")
    return {
        "auroc": float(metrics.roc_auc_score(strange, values)),
        "aupr": float(metrics.average_precision_score(strange, values)),
        "fpr95": float(np.mean(outliers <= threshold)),
    }
