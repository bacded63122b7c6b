"""The records that several packages exchange, and the errors that the public API raises.

Shapes are written with N for the batch, K for the number of classes and L for the latent size.
"""

from typing import Any, NamedTuple

import jax

Params = Any  # a nested dict of float32 arrays, as Linen makes them


class Weights(NamedTuple):
    """All arrays of one network."""

    params: Params  # what gradients and optimisers change
    statistics: Params  # BatchNorm's running averages; {} where there are none


class Batch(NamedTuple):
    """Real images as they lie at rest, with their labels."""

    images: jax.Array  # uint8 [N, H, W, C], ink = 255; of drawn data float32 in [0, 1]
    labels: jax.Array  # int32 [N], 0..K-1


class CheckpointError(ValueError):
    """A checkpoint is damaged, foreign, or lacks what was asked of it; the message names the file."""


class DamagedCheckpoint(UserWarning):
    """A run's newest checkpoint is damaged, and an older one is used; the message names both.

    To make it an error: `warnings.simplefilter("error", DamagedCheckpoint)`.
    """


class RunFolderWarning(UserWarning):
    """A file of a run folder is damaged, or cannot be protected; the message says how things go on without it."""


class UnknownCheckpoint(FileNotFoundError):
    """There is no checkpoint of that name or at that place; the message lists the known names."""


class UserError(Exception):
    """Bad input: the message says what was given, what was expected and what to do. A command ends with exit code 2."""


class BadArgument(UserError, ValueError):
    """An argument that cannot work: the message names it, and says what was expected."""


class BadType(BadArgument, TypeError):
    """The same, of a wrong type or dtype."""


class DataError(UserError, ValueError):
    """A folder, a file or arrays that cannot be a data set: the message says why, and how to mend it."""


class DataTypeError(DataError, TypeError):
    """The same, of a wrong type or dtype."""


class BitsWarning(UserWarning):
    """A run goes on under other conditions than before, so that its last bits can differ."""


class CacheWarning(UserWarning):
    """Other users can change the folder of compiled programs, so it is not used; the message says what to do."""
