"""One page a system: its docstring is its contract, its `CONFIG` is all of it. Pages are forked, not inherited."""

import importlib
import pkgutil

from cganjax.training.config import Config
from cganjax.types import UserError


def names() -> list[str]:
    """Every recipe there is."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Config:
    """The config of a recipe; hyphens and underscores are alike. UserError lists the known where it is unknown."""
    name = name.replace("-", "_")
    if name not in names():
        raise UserError(f"unknown recipe {name!r}: known are {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}").CONFIG
