"""Class-conditional generation of small images, and decoys that make a classifier reject them, in JAX.

This file is the door: names are public through `__all__` alone, and each is imported when it is first used.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "CheckpointError",
    "Classifier",
    "DecoyResult",
    "Detector",
    "Discriminator",
    "Generator",
    "calibrate",
    "checkpoints",
    "compat",
    "decoy",
    "evaluate",
    "load",
    "load_classifier",
    "load_discriminator",
    "sample",
]

if TYPE_CHECKING:
    from cganjax import compat
    from cganjax.checkpoint import checkpoints
    from cganjax.decoys import DecoyResult, decoy
    from cganjax.decoys.detectors import Detector, calibrate
    from cganjax.evaluation import evaluate
    from cganjax.sampling import Classifier, Discriminator, Generator, load, load_classifier, load_discriminator, sample
    from cganjax.types import CheckpointError

_ROOMS = {
    "CheckpointError": "types",
    "Classifier": "sampling",
    "DecoyResult": "decoys",
    "Detector": "decoys.detectors",
    "Discriminator": "sampling",
    "Generator": "sampling",
    "calibrate": "decoys.detectors",
    "checkpoints": "checkpoint",
    "compat": "compat",
    "decoy": "decoys",
    "evaluate": "evaluation",
    "load": "sampling",
    "load_classifier": "sampling",
    "load_discriminator": "sampling",
    "sample": "sampling",
}


def __getattr__(name: str):
    if name not in _ROOMS:
        raise AttributeError(f"cganjax has no {name!r}; it has {', '.join(__all__)}")
    import importlib

    room = importlib.import_module(f"cganjax.{_ROOMS[name]}")
    value = room if name == _ROOMS[name] else getattr(room, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
