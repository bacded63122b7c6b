"""TensorFlow Datasets: sets that it prepared on this machine, and its download. TensorFlow itself is not imported."""

import os
import socket
import urllib.parse
import urllib.request
import warnings
from pathlib import Path

import numpy as np

from cganjax import quiet
from cganjax.data import known
from cganjax.data.record import ENVIRONMENT, NotFound, Raw
from cganjax.types import UserError


def prepared(name: str, part: str, folder: Path | None) -> Raw | None:
    """A set prepared by TFDS below the data folder, or below TFDS's default folder if no data folder is given."""
    there = (r for r in roots(folder) if os.path.isdir(r / name))
    root = next((r for r in there if any((r / name).glob("*.*.*/dataset_info.json"))), None)
    return None if root is None else read(name, part, root)


def roots(folder: Path | None) -> list[Path]:
    """Where prepared sets are looked for: below the data folder, or in TFDS's default folder."""
    if folder is None:
        return [Path(os.path.expanduser(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")))]
    return [folder / "tfds", folder]


def download(name: str, part: str, folder: Path | None) -> Raw:
    """Let TFDS download and prepare the set below its default folder.

    Raises:
      NotFound: TFDS does not know the name, there is no network, or TFDS could not fetch it.
      UserError: it is no set of labelled images.
    """
    library = import_tfds()
    try:
        builder = library.builder(name)
    except (library.core.DatasetNotFoundError, ValueError):
        ours = f"{name} is not on this machine, and TFDS does not have it: {three_ways(name)}"
        raise NotFound(ours if name in known.KNOWN else unknown(name)) from None
    features = builder.info.features
    if not {"image", "label"} <= set(features or ()):
        raise UserError(f"{name} is no set of labelled images: it has {', '.join(features or ['nothing known'])}")
    # TFDS by itself retries for minutes under a wall of warnings; a name that does not resolve is known at once.
    if not network():
        raise NotFound(f"{name} is not on this machine and there is no network: {three_ways(name)}")
    try:
        builder.download_and_prepare(file_format="array_record")
    except ImportError as error:
        raise NotFound(
            f"TFDS needs {error.name or 'TensorFlow'} to prepare {name}: pip install 'cganjax[tfds]', "
            "or point --data-dir at IDX files"
        ) from None
    except Exception as error:  # TFDS raises errors of every library below it
        raise NotFound(f"TFDS could not fetch {name} ({_reason(error)}): {three_ways(name)}") from None
    return read(name, part, Path(builder.data_dir).parents[name.count("/") + 1])


def read(name: str, part: str, root: Path) -> Raw:
    """Read a prepared set. Raises UserError if TFDS cannot, or if it holds no uint8 images of one size."""
    library = import_tfds()
    try:
        rows = library.data_source(name, split=part, data_dir=str(root), download=False)
        with quiet.logger("absl"):  # TFDS advises OpenCV at the first image
            rows = rows.__getitems__(range(len(rows)))
        images = np.stack([row["image"] for row in rows])
        labels = np.array([row["label"] for row in rows], np.int64)
        feature = library.builder(name, data_dir=str(root)).info.features["label"]
    except Exception as error:  # a missing split, a foreign format, a short shard: TFDS has no common error
        raise UserError(
            f"TFDS cannot read {name} ({part}) below {root} ({_reason(error)}): prepare it again with "
            "file_format='array_record', or use IDX files"
        ) from None
    if images.ndim != 4 or images.dtype != np.uint8:
        raise UserError(f"{name} is no set of uint8 images of one size: choose another")
    if images.shape[3] not in (1, 3):
        raise UserError(f"{name} has images of {images.shape[3]} channels: expected 1 or 3; choose another")
    names = None if name in known.KNOWN else getattr(feature, "names", None)
    return Raw(images, labels, feature.num_classes, f"TFDS below {root}", class_names=names and tuple(names))


def import_tfds():
    """Import TFDS without its advice to install TensorFlow: reading needs none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_datasets
    return tensorflow_datasets


def network(seconds: float = 3.0) -> bool:
    """Whether TFDS's own host, or the proxy that the environment names for it, answers."""
    proxies = urllib.request.getproxies()
    proxy = urllib.parse.urlsplit(proxies.get("https") or proxies.get("all") or "")
    host = (proxy.hostname, proxy.port or 80) if proxy.hostname else ("storage.googleapis.com", 443)
    try:
        socket.create_connection(host, timeout=seconds).close()
    except OSError:
        return False
    return True


def unknown(name: str, near: str | None = None) -> str:
    """What to say of a name that no source knows, and of the known one that is nearest to it."""
    known_are = f"did you mean {near}? Known are" if near else "known are"
    return (
        f"unknown data set {name!r}: {known_are} digits, mnist, fashion_mnist, kmnist, emnist/letters and every other "
        "TFDS set of small labelled images; or give a folder with one sub-folder per class, or an .npz file"
    )


def three_ways(name: str) -> str:
    """What to do about a data set that is not there."""
    return (
        f"put IDX files or {name}.npz there or in {name}/ below it (--data-dir DIR or {ENVIRONMENT}), or "
        f"a set prepared by TFDS in tfds/ below it, or use --dataset digits, which needs no download"
    )


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
