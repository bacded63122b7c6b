"""Every source of images -> one in-memory `Dataset`, checked, fingerprinted and in one canonical order.

This file only re-exports. `sources` finds data sets, with one file per source beside it; `batching` makes batches.
Nothing shuffles a data set: that is the training loop's, from (seed, epoch). Pixels stay uint8.
"""

from cganjax.data.batching import batches, check_fits, epoch_order
from cganjax.data.cards import of_card
from cganjax.data.decoded import SIZES
from cganjax.data.drawn import bright_dark
from cganjax.data.idx import CANONICAL_MD5, read_idx
from cganjax.data.record import ENVIRONMENT, Dataset, NotFound, Raw, divide
from cganjax.data.sources import SOURCES, Source, dataset, load, register
from cganjax.data.splits import CALIBRATION, SPLIT, SPLITS

__all__ = [
    "CALIBRATION",
    "CANONICAL_MD5",
    "ENVIRONMENT",
    "SIZES",
    "SOURCES",
    "SPLIT",
    "SPLITS",
    "Dataset",
    "NotFound",
    "Raw",
    "Source",
    "batches",
    "bright_dark",
    "check_fits",
    "dataset",
    "divide",
    "epoch_order",
    "load",
    "of_card",
    "read_idx",
    "register",
]
