"""The real data that generated images are measured against: given as arrays, or shipped beside a feature extractor.

Features are divided by the root mean square of the reference's features, so that no figure depends on the scale of an
extractor: a kernel of degree 3 is dominated by the largest features.

A shipped reference is `reference.npz` (features of the test images as float16, their labels, the training images'
statistics, each test image's distance to its nearest training image) and `reference.json` (digests of those arrays, of
the extractor and of itself, the data, the rows of real data and of known failures). With it no data are needed.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cganjax import checkpoint as ckpt
from cganjax import data, pixels, scores
from cganjax.evaluation.metrics import frechet, neighbours
from cganjax.evaluation.records import Real, Reference, Train, Unmeasurable
from cganjax.types import BadArgument, BadType, CheckpointError, UserError

ARRAYS, CARD = ckpt.REFERENCE_ARRAYS, ckpt.REFERENCE


def features_of(extractor: Callable, images: np.ndarray) -> np.ndarray:
    """Features float32 [N, F], computed in chunks of images."""
    return np.asarray(scores.in_chunks(extractor.features, images), np.float32)


def real_images(given: Any, image_shape: tuple[int, ...], name: str) -> Real:
    """Check real data as users give them.

    Args:
      given: a `cganjax.data.Dataset`, or a pair (images [N, H, W, C] in [0, 1], labels int [N]).
      image_shape: (H, W, C) of the extractor.
      name: the argument, for errors.

    Raises:
      TypeError: it is something else.
      ValueError: images of another shape or range, or labels of another length.
    """
    if hasattr(given, "images") and hasattr(given, "labels"):
        images, labels = pixels.rest_to_unit(given.images), given.labels
        about = {k: getattr(given, k) for k in ("name", "split", "fingerprint") if hasattr(given, k)}
    elif isinstance(given, (tuple, list)) and len(given) == 2:
        (images, labels), about = given, {"name": "given"}
    else:
        raise BadType(f"{name} is {type(given).__name__}: expected a pair (images, labels) or a cganjax data set")
    images, labels = np.asarray(images), np.asarray(labels)
    if images.shape[1:] != tuple(image_shape):
        raise BadArgument(
            f"{name} has images of shape {images.shape}: expected [N, {', '.join(map(str, image_shape))}]"
        )
    try:
        images = np.asarray(pixels.check_unit(images))
    except ValueError as error:
        raise BadArgument(f"{name}: {error}") from None
    if labels.shape != (len(images),):
        raise BadArgument(f"{name} has {len(images)} images and labels of shape {labels.shape}: expected one for each")
    return Real(images, labels, {**about, "images": len(images)})


def splits(extractor: Any, dataset: str | None, data_dir: str | None, size: int | None = None) -> tuple[Any, Any]:
    """The test and the training split of a data set for an extractor.

    Args:
      extractor: a loaded classifier.
      dataset: a name, or a folder or file of images; None for the data set in the extractor's card.
      data_dir: where to look for it.
      size: the side that the pictures of a folder are resized to; None for that in the extractor's card, if any.

    Raises:
      UserError: it is not found, or has images of another shape or other classes than the extractor.
    """
    if dataset is None:
        if size is not None:
            raise UserError("--size goes with --dataset: without it, images are read as the extractor's card says")
        found = [data.of_card(extractor.card, split, data_dir) for split in ("test", "train")]
    else:
        size = size or extractor.card["data"].get("size")
        found = [data.dataset(dataset, split=split, data_dir=data_dir, size=size) for split in ("test", "train")]
    for one in found:
        data.check_fits(one, extractor.image_shape, 1)
        if one.num_classes != extractor.num_classes:
            raise UserError(
                f"{one.name} has {one.num_classes} classes, and {extractor.card['name']} knows "
                f"{extractor.num_classes}: give an --extractor of the same data"
            )
    return found[0], found[1]


def of_real(extractor: Callable, real: Real) -> Reference:
    """A reference made from images. Unmeasurable if their features are all 0 or not finite."""
    features = features_of(extractor, real.images).astype(np.float64)
    size = np.sqrt(np.mean(features**2))
    if not np.isfinite(size) or size == 0:
        raise Unmeasurable(
            f"{extractor.card['name']} gives features whose mean square is {size**2:g}: expected a positive number"
        )
    return Reference(real.about, features / size, real.labels, float(1 / size), real.images)


def with_train(extractor: Callable, reference: Reference, train: Real, distances: bool = True) -> Reference:
    """The same reference with training images.

    With `distances` the distance from each reference image to its nearest training image is computed too, if the
    reference has images. A shipped reference keeps its own distances if it was made with the same training images.

    Raises:
      Unmeasurable: there are fewer training images than the covariance of their features needs.
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
    """Whether training images are those of a shipped reference, by their number and mean features."""
    scale = float(np.sqrt(np.trace(known.statistics.covariance)))
    apart = float(np.linalg.norm(known.statistics.mean - statistics.mean))
    return known.about.get("images") == count and apart < 1e-3 * scale


def digest_of(classifier: Any) -> str:
    """The SHA-256 of a classifier's weights: that of its card if it is shipped, otherwise of its arrays in order."""
    shipped = classifier.card.get("weights", {}).get("sha256")
    if shipped:
        return shipped
    total = hashlib.sha256()
    for leaf in jax.tree.leaves(classifier.weights):
        total.update(np.asarray(leaf).tobytes())
    return total.hexdigest()


# --- on disk ----------------------------------------------------------------------------------------------------------


def write(folder: Path, reference: Reference, extractor: Any) -> int:
    """Write a reference with its training part beside the extractor. Returns the size of its array file in bytes.

    Raises:
      Unmeasurable: features are beyond the range of float16, or labels beyond that of uint16.
    """
    return ckpt.write_reference(folder, *_packed(reference, extractor))


def rounded(reference: Reference, extractor: Any) -> Reference:
    """A reference as `read` returns it after `write`; Unmeasurable as `write` says."""
    return _opened(*_packed(reference, extractor))


def _packed(reference: Reference, extractor: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the two files of a reference hold."""
    if np.abs(reference.features).max() > np.finfo(np.float16).max:
        raise Unmeasurable("features are beyond float16's 65,504: scale the extractor's last layer")
    train = reference.train
    arrays = {
        "features": reference.features.astype(np.float16),
        "labels": reference.labels.astype(label_type(reference.labels)),
        "train_mean": train.statistics.mean,
        "train_covariance": train.statistics.covariance,
        "nearest_pixels": train.nearest_pixels.astype(np.float32),
        "nearest_features": train.nearest_features.astype(np.float32),
    }
    values = {
        "extractor": {"name": extractor.card["name"], "sha256": digest_of(extractor)},
        "judge": reference.classifier,  # the name that files of format 1 have for it
        "data": dict(reference.about),
        "scale": reference.scale,
        "train": dict(train.about),
        "rows": dict(reference.rows),
    }
    return values, arrays


def label_type(labels: np.ndarray) -> type:
    """The smallest unsigned type that holds labels int [N]. Unmeasurable if they are below 0 or above 65,535."""
    for kind in (np.uint8, np.uint16):
        if labels.min() >= 0 and labels.max() <= np.iinfo(kind).max:
            return kind
    raise Unmeasurable(f"labels are in {labels.min()}..{labels.max()}: expected 0..65535")


def read(folder: Path, extractor: Any) -> Reference | None:
    """The reference in the folder of an extractor, or None if there is none.

    Raises:
      CheckpointError: a file is damaged or was made for another extractor; it is named.
    """
    found = ckpt.read_reference(folder, digest_of(extractor))
    if found is None:
        return None
    values, arrays = found
    if _shapes(arrays) != _shapes_for(arrays.get("features")):
        raise CheckpointError(f"{folder / ARRAYS} holds other arrays than a reference: make it again")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise CheckpointError(f"{folder / ARRAYS} holds numbers that are not finite: make it again")
    return _opened(values, arrays)


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple]:
    """The shape of each array, and whether it holds integers or floats."""
    return {
        name: (array.shape, "integers" if array.dtype.kind in "iu" else array.dtype.kind)
        for name, array in arrays.items()
    }


def _shapes_for(features: np.ndarray | None) -> dict[str, tuple] | None:
    """The same of a reference with these features; None if no reference has such."""
    if features is None or features.ndim != 2 or not features.size:
        return None
    images, size = features.shape
    return {
        "features": ((images, size), "f"),
        "labels": ((images,), "integers"),
        "train_mean": ((size,), "f"),
        "train_covariance": ((size, size), "f"),
        "nearest_pixels": ((images,), "f"),
        "nearest_features": ((images,), "f"),
    }


def _opened(card: Mapping[str, Any], found: Mapping[str, np.ndarray]) -> Reference:
    """The reference that the two files describe."""
    train = Train(
        frechet.Statistics(found["train_mean"], found["train_covariance"]),
        card["train"],
        nearest_pixels=found["nearest_pixels"],
        nearest_features=found["nearest_features"],
    )
    features, labels = found["features"].astype(np.float64), found["labels"].astype(np.int64)
    return Reference(card["data"], features, labels, float(card["scale"]), None, train, card.get("judge"), card["rows"])
