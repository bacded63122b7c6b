"""Detectors that score a classifier's features, and learn from the features of real images."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import scores as scores_of
from cganjax.decoys.detectors.entry import Score
from cganjax.types import BadArgument

NEIGHBOUR = 10  # the default of `knn`


def mahalanobis(
    classifier: Callable, kind: str, real: np.ndarray, labels: np.ndarray | None, *, unit: bool = False
) -> Score:
    """The squared Mahalanobis distance of the last features to the nearest class mean, with one common covariance.

    Lee et al., "A simple unified framework for detecting out-of-distribution samples" (arXiv 1807.03888), eq. 1 and 2.
    The classes are the labels if given, else the classifier's predictions. With `unit`, features are scaled to length
    1: Mueller and Hein, "Mahalanobis++: improving OOD detection via feature normalization" (ICML 2025).
    """

    def look(images):
        x = classifier.features(images)
        return _unit(x) if unit else x

    features = np.asarray(scores_of.in_chunks(look, real), np.float64)  # [N, D]
    if len(features) <= features.shape[1]:
        raise BadArgument(
            f"mahalanobis learns a covariance of {features.shape[1]} features from {len(features)} images "
            "(every second one): give more than twice as many as there are features"
        )
    found = np.asarray(scores_of.in_chunks(classifier, real)).argmax(axis=1) if labels is None else np.asarray(labels)
    classes = np.unique(found)
    means = np.stack([features[found == k].mean(axis=0) for k in classes])  # [K, D]
    centred = features - means[np.searchsorted(classes, found)]
    covariance = centred.T @ centred / len(features)
    # Features that never change (a ReLU that is never on) have no variance: they get a millionth of the mean one.
    covariance += 1e-6 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    try:
        whiten = np.linalg.cholesky(np.linalg.inv(covariance))  # x S^-1 x = |x whiten|^2
    except np.linalg.LinAlgError:
        raise BadArgument(
            f"the features of the {len(features)} images that mahalanobis learns from do not vary in every direction: "
            "give more and more different images"
        ) from None
    whiten, means = jnp.asarray(whiten, jnp.float32), jnp.asarray(means @ whiten, jnp.float32)

    def score(images):
        return jnp.min(_squared_distances(look(images) @ whiten, means), axis=1)

    return score


def images_for_a_covariance(classifier: Callable, shape: tuple[int, ...]) -> int:
    """The number of real images that `mahalanobis` needs: it learns from every second one."""
    features = jax.eval_shape(classifier.features, jax.ShapeDtypeStruct((2, *shape), jnp.float32))
    return 2 * features.shape[1] + 1


def knn(classifier: Callable, kind: str, real: np.ndarray, labels: np.ndarray | None, *, k: int = NEIGHBOUR) -> Score:
    """The distance of the last features, scaled to length 1, to those of the k-th nearest real image.

    Sun et al., "Out-of-distribution detection with deep nearest neighbors" (arXiv 2204.06507), section 3.
    """
    del labels
    if len(real) < k:
        raise BadArgument(f"knn takes neighbour number {k}, and learns from {len(real)} images: give more images")

    def look(images):
        return _unit(classifier.features(images))

    bank = jnp.asarray(scores_of.in_chunks(look, real))  # [M, D]

    def score(images):
        nearest, _ = jax.lax.top_k(-_squared_distances(look(images), bank), k)
        return jnp.sqrt(jnp.maximum(-nearest[:, -1], 0.0))

    return score


def images_for_neighbours(classifier: Callable, shape: tuple[int, ...]) -> int:
    """The number of real images that `knn` needs with its default k: it learns from every second one."""
    return 2 * NEIGHBOUR - 1


def _unit(x: jax.Array) -> jax.Array:
    """Scale rows [N, D] to length 1."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _squared_distances(x: jax.Array, y: jax.Array) -> jax.Array:
    """[N, D] and [M, D] -> [N, M]."""
    return jnp.sum(x**2, axis=1)[:, None] - 2.0 * x @ y.T + jnp.sum(y**2, axis=1)[None]
