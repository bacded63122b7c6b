"""Recipes: configs that somebody chose, each on a page that says where it comes from and what it gave.

A page is one file here: its docstring says source, command, time and result, and `CONFIG` is the recipe, under the
file's name. A page of several recipes has `CONFIGS` and `PAGES` instead, by name. The page of a recipe that depends on
the images has a function `config(dataset)` instead. To change a recipe, copy its page.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable

from cganjax.data import Dataset
from cganjax.training.config import Config
from cganjax.types import UserError

DEFAULT = "mnist"  # what `cganjax train` trains unless it is told otherwise
AUTO = "auto"  # the recipe for images that have none of their own
# Data sets that have a recipe of their own.
OF_DATA = {"digits": "digits", "fashion_mnist": "fashion", "mnist": "mnist", "pattern_1010": "pattern_1010"}

_Recipe = Config | Callable[[Dataset], Config]


def names() -> list[str]:
    """The names of all recipes."""
    return sorted(_found())


def load(name: str, dataset: Dataset | None = None) -> Config:
    """The config of a recipe; hyphens and underscores are alike.

    >>> load("mnist-fast").batch_size
    64

    Args:
      name: the recipe.
      dataset: the images to train on; only a recipe that `needs_data` uses them.

    Raises:
      UserError: for an unknown name (the message lists the known ones), or for a recipe that needs data if there are
        none, or too few of them.
    """
    recipe = _find(name)[0]
    if isinstance(recipe, Config):
        return recipe
    if dataset is None:
        raise UserError(
            f"recipe {name} chooses its settings by the images, and none were given: give a data set too, as in "
            f"cganjax.recipe({name!r}, dataset) or cganjax train my_images/"
        )
    return recipe(dataset)


def needs_data(name: str) -> bool:
    """Whether a recipe depends on the images. Raises UserError for an unknown name.

    >>> needs_data("auto"), needs_data("mnist")
    (True, False)
    """
    return not isinstance(_find(name)[0], Config)


def of_data(name: str) -> str:
    """The recipe that was made for the data set of that name, or `AUTO`.

    >>> of_data("mnist"), of_data("my_images/")
    ('mnist', 'auto')
    """
    made = OF_DATA.get(name)
    return made if made in _found() else AUTO


def page(name: str) -> str:
    """What a recipe's page says of it. Raises UserError for an unknown name."""
    return _find(name)[1]


def _find(name: str) -> tuple[_Recipe, str]:
    found, wanted = _found(), name.replace("-", "_")
    if wanted not in found:
        raise UserError(f"unknown recipe {wanted!r}: known are {', '.join(sorted(found))}")
    return found[wanted]


def _found() -> dict[str, tuple[_Recipe, str]]:
    """The config, or the function that chooses it, and the page of every recipe."""
    found = {}
    for file in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{file.name}")
        if hasattr(module, "CONFIGS"):
            found |= {
                name: (config, f"{inspect.cleandoc(module.PAGES[name])}\n{module.__doc__}")
                for name, config in module.CONFIGS.items()
            }
        else:
            recipe = module.CONFIG if hasattr(module, "CONFIG") else module.config
            found[file.name] = (recipe, module.__doc__)
    return found
