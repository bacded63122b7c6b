"""The data set of a card, and a data set by its name.

TODO: replace by the package's own `of_card` and `dataset` when sources are one file each.
"""

import os
from collections.abc import Mapping
from typing import Any


def of_card(card: Mapping[str, Any], split: str, data_dir: str | os.PathLike | None = None):
    """A split of the data set that a checkpoint's card names. UserError if the data folder does not hold it."""
    return dataset(card["data"]["name"], split=split, data_dir=data_dir)


def dataset(source: str, *, split: str = "train", data_dir: str | os.PathLike | None = None):
    """A split of a data set by its name. UserError if it is not found."""
    from cganjax import data

    return data.load(source, split, data_dir)
