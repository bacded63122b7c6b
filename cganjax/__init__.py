"""Class-conditional generation of small images, and decoys that make a classifier reject them, in JAX.

The names in `__all__` are the public API. Each is imported when it is first used, so that `import cganjax` is fast,
touches no device and sets no JAX option.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "CheckpointError",
    "Classifier",
    "DataError",
    "Dataset",
    "DecoyResult",
    "Detector",
    "Discriminator",
    "Diverged",
    "Generator",
    "ImageSpec",
    "Interrupted",
    "NotFound",
    "TrainedRun",
    "UserError",
    "calibrate",
    "checkpoints",
    "compat",
    "dataset",
    "decoy",
    "evaluate",
    "load",
    "load_classifier",
    "load_discriminator",
    "recipe",
    "sample",
    "train",
    "trainer",
]

if TYPE_CHECKING:
    from cganjax import compat
    from cganjax.checkpoint import checkpoints
    from cganjax.data import Dataset, NotFound, dataset
    from cganjax.decoys import DecoyResult, decoy
    from cganjax.decoys.detectors import Detector, calibrate
    from cganjax.evaluation import evaluate
    from cganjax.sampling import Classifier, Discriminator, Generator, load, load_classifier, load_discriminator, sample
    from cganjax.spec import ImageSpec
    from cganjax.training.loop import Diverged
    from cganjax.training.result import Interrupted, TrainedRun
    from cganjax.training.session import recipe, train, trainer
    from cganjax.types import CheckpointError, DataError, UserError

# The module below cganjax that defines each public name.
_MODULES = {
    "CheckpointError": "types",
    "Classifier": "sampling",
    "DataError": "types",
    "Dataset": "data",
    "DecoyResult": "decoys",
    "Detector": "decoys.detectors",
    "Discriminator": "sampling",
    "Diverged": "training.loop",
    "Generator": "sampling",
    "ImageSpec": "spec",
    "Interrupted": "training.result",
    "NotFound": "data",
    "TrainedRun": "training.result",
    "UserError": "types",
    "calibrate": "decoys.detectors",
    "checkpoints": "checkpoint",
    "compat": "compat",
    "dataset": "data",
    "decoy": "decoys",
    "evaluate": "evaluation",
    "load": "sampling",
    "load_classifier": "sampling",
    "load_discriminator": "sampling",
    "recipe": "training.session",
    "sample": "sampling",
    "train": "training.session",
    "trainer": "training.session",
}


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"cganjax has no {name!r}; it has {', '.join(__all__)}")
    import importlib

    module = importlib.import_module(f"cganjax.{_MODULES[name]}")
    value = module if name == _MODULES[name] else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
