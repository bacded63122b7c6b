"""Recipes: configs that somebody chose, each on a page that says where it comes from and what it gave.

A page is one file here: its docstring says source, command, time and result, and `CONFIG` is the recipe, under the
file's name. A page of several recipes has `CONFIGS` and `PAGES` instead, by name. To change a recipe, copy its page.
"""

import importlib
import inspect
import pkgutil

from cganjax.training.config import Config
from cganjax.types import UserError

DEFAULT = "mnist"  # what `cganjax train` trains unless it is told otherwise


def names() -> list[str]:
    """The names of all recipes."""
    return sorted(_found())


def load(name: str) -> Config:
    """The config of a recipe; hyphens and underscores are alike.

    >>> load("mnist-fast").batch_size
    64

    Raises:
      UserError: for an unknown name; the message lists the known ones.
    """
    return _find(name)[0]


def page(name: str) -> str:
    """What a recipe's page says of it. Raises UserError for an unknown name."""
    return _find(name)[1]


def _find(name: str) -> tuple[Config, str]:
    found, wanted = _found(), name.replace("-", "_")
    if wanted not in found:
        raise UserError(f"unknown recipe {wanted!r}: known are {', '.join(sorted(found))}")
    return found[wanted]


def _found() -> dict[str, tuple[Config, str]]:
    """The config and the page of every recipe."""
    found = {}
    for file in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{file.name}")
        if hasattr(module, "CONFIGS"):
            found |= {
                name: (config, f"{inspect.cleandoc(module.PAGES[name])}\n{module.__doc__}")
                for name, config in module.CONFIGS.items()
            }
        else:
            found[file.name] = (module.CONFIG, module.__doc__)
    return found
