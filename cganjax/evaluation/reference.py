"""The real data that generated images are measured against: given as arrays, or shipped beside a feature extractor.

Features are divided by the root mean square of the reference's own, so that no figure depends on the scale that an
extractor happens to have: a kernel of degree 3 of large features sees little but the largest.

A shipped reference is `reference.npz` (features of the test images as float16, their labels, the training images'
statistics, each test image's distance to its nearest training image) and `reference.json` (the digest of that file and
of the extractor, the data, the rows of real data and of known failures). With it nothing of the data is needed.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cganjax import files, pixels, scores
from cganjax.evaluation.metrics import frechet, neighbours
from cganjax.types import CheckpointError

ARRAYS, CARD, FORMAT = "reference.npz", "reference.json", 1


class Real(NamedTuple):
    """Real images and their labels."""

    images: np.ndarray  # float32 [N, H, W, C] in [0, 1]
    labels: np.ndarray  # int [N]
    about: Mapping[str, Any]  # name, split, images, fingerprint, where they are known


class Train(NamedTuple):
    """The training images of a generator, as far as they are at hand."""

    statistics: frechet.Statistics
    about: Mapping[str, Any]
    images: np.ndarray | None = None  # float32 [T, H, W, C] in [0, 1]
    labels: np.ndarray | None = None  # int [T]
    features: np.ndarray | None = None  # float32 [T, F]
    # Of each reference image to its nearest training image, float [M]; None where the images were never at hand.
    nearest_pixels: np.ndarray | None = None
    nearest_features: np.ndarray | None = None


class Reference(NamedTuple):
    """What generated images are compared with."""

    about: Mapping[str, Any]
    features: np.ndarray  # float64 [M, F], of mean square 1
    labels: np.ndarray  # int [M]
    scale: float  # what an extractor's features are multiplied by
    images: np.ndarray | None = None  # float32 [M, H, W, C] in [0, 1]; None of a shipped one
    train: Train | None = None
    judge: str | None = None  # the SHA-256 of the classifier that the rows' accuracies are by
    rows: Mapping[str, Any] = {}  # name -> figures of real images and of known failures


def features_of(extractor: Callable, images: np.ndarray) -> np.ndarray:
    """Features float32 [N, F], a chunk of images at a time."""
    return np.asarray(scores.in_chunks(extractor.features, images), np.float32)


def real_images(given: Any, image_shape: tuple[int, ...], name: str) -> Real:
    """Take real data as users have them.

    Args:
      given: a `cganjax.data.Dataset`, or a pair (images [N, H, W, C] in [0, 1], labels int [N]).
      image_shape: (H, W, C) of the extractor.
      name: of the argument, for errors.

    Raises:
      TypeError: something else. ValueError: images of another shape or range, labels of another length.
    """
    if hasattr(given, "images") and hasattr(given, "labels"):
        images, labels = pixels.rest_to_unit(given.images), given.labels
        about = {k: getattr(given, k) for k in ("name", "split", "fingerprint") if hasattr(given, k)}
    elif isinstance(given, (tuple, list)) and len(given) == 2:
        (images, labels), about = given, {"name": "given"}
    else:
        raise TypeError(f"{name} is {type(given).__name__}: expected a pair (images, labels) or a cganjax data set")
    images, labels = np.asarray(images), np.asarray(labels)
    if images.shape[1:] != tuple(image_shape):
        raise ValueError(f"{name} has images of shape {images.shape}: expected [N, {', '.join(map(str, image_shape))}]")
    try:
        images = np.asarray(pixels.check_unit(images))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if labels.shape != (len(images),):
        raise ValueError(f"{name} has {len(images)} images and labels of shape {labels.shape}: expected one for each")
    return Real(images, labels, {**about, "images": len(images)})


def of_real(extractor: Callable, real: Real) -> Reference:
    """A reference from images at hand. ValueError where their features are all 0 or not finite."""
    features = features_of(extractor, real.images).astype(np.float64)
    size = np.sqrt(np.mean(features**2))
    if not np.isfinite(size) or size == 0:
        raise ValueError(f"{extractor.card['name']} gives features whose mean square is {size**2:g}: expected a number")
    return Reference(real.about, features / size, real.labels, float(1 / size), real.images)


def with_train(extractor: Callable, reference: Reference, train: Real, distances: bool = True) -> Reference:
    """The same with training images at hand.

    With `distances` the reference images' distances to them are taken too, where those images are at hand; a shipped
    reference keeps its own where its training images are these.
    """
    features = features_of(extractor, train.images) * np.float32(reference.scale)
    statistics = frechet.statistics(features)
    known, nearest_pixels, nearest_features = reference.train, None, None
    if reference.images is not None and distances:
        nearest_pixels = neighbours.nearest(reference.images, train.images)[1]
        nearest_features = neighbours.nearest(reference.features, features)[1]
    elif known is not None and _same(known, statistics, len(train.images)):
        nearest_pixels, nearest_features = known.nearest_pixels, known.nearest_features
    return reference._replace(
        train=Train(statistics, train.about, train.images, train.labels, features, nearest_pixels, nearest_features)
    )


def _same(known: Train, statistics: frechet.Statistics, count: int) -> bool:
    """Whether training images are those of a shipped reference: by their number and their mean features."""
    scale = float(np.sqrt(np.trace(known.statistics.covariance)))
    apart = float(np.linalg.norm(known.statistics.mean - statistics.mean))
    return known.about.get("images") == count and apart < 1e-3 * scale


def digest_of(classifier: Any) -> str:
    """The SHA-256 of a classifier's weights: its card's where it is shipped, else over its arrays in order."""
    shipped = classifier.card.get("weights", {}).get("sha256")
    if shipped:
        return shipped
    total = hashlib.sha256()
    for leaf in jax.tree.leaves(classifier.weights):
        total.update(np.asarray(leaf).tobytes())
    return total.hexdigest()


# --- on disk ----------------------------------------------------------------------------------------------------------


def write(folder: Path, reference: Reference, extractor: Any) -> int:
    """Write a reference with its training part beside the extractor; the number of bytes of its array file.

    Raises:
      ValueError: features beyond float16.
    """
    if np.abs(reference.features).max() > np.finfo(np.float16).max:
        raise ValueError("features are beyond float16's 65,504: scale the extractor's last layer")
    train = reference.train
    buffer = io.BytesIO()
    np.savez(
        buffer,
        features=reference.features.astype(np.float16),
        labels=reference.labels.astype(np.uint8),
        train_mean=train.statistics.mean,
        train_covariance=train.statistics.covariance,
        nearest_pixels=train.nearest_pixels.astype(np.float32),
        nearest_features=train.nearest_features.astype(np.float32),
    )
    data = buffer.getvalue()
    card = {
        "format": FORMAT,
        "extractor": {"name": extractor.card["name"], "sha256": digest_of(extractor)},
        "judge": reference.judge,
        "data": dict(reference.about),
        "scale": reference.scale,
        "train": dict(train.about),
        "arrays": {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)},
        "rows": dict(reference.rows),
    }
    files.write_file(folder / ARRAYS, data)
    files.write_json(folder / CARD, card)
    return len(data)


def read(folder: Path, extractor: Any) -> Reference | None:
    """The reference that lies in the folder of an extractor, or None where there is none.

    Raises:
      CheckpointError: a file is damaged or was made for another extractor; it is named.
    """
    if not (folder / CARD).exists():
        return None
    card, path = files.read_json(folder / CARD), folder / ARRAYS
    if card.get("format") != FORMAT or not isinstance(card.get("arrays"), dict):
        raise CheckpointError(f"{folder / CARD} is no reference of format {FORMAT}: make it anew")
    if card["extractor"]["sha256"] != digest_of(extractor):
        raise CheckpointError(f"{folder / CARD} was made for other weights than those beside it: make it anew")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): get the checkpoint again") from None
    if hashlib.sha256(data).hexdigest() != card["arrays"].get("sha256"):
        raise CheckpointError(f"{path} is damaged: its SHA-256 is not the one of {CARD}; get the checkpoint again")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        statistics = frechet.Statistics(found["train_mean"], found["train_covariance"])
        train = Train(
            statistics,
            card["train"],
            nearest_pixels=found["nearest_pixels"],
            nearest_features=found["nearest_features"],
        )
        scale, features, labels = (
            float(card["scale"]),
            found["features"].astype(np.float64),
            found["labels"].astype(np.int64),
        )
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} holds no reference ({error})") from None
    return Reference(card["data"], features, labels, scale, None, train, card.get("judge"), card["rows"])
