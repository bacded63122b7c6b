"""How many devices share a batch: as asked, as the run began, or one per CPU core if its algorithm gains by it."""

from pathlib import Path

import jax

from cganjax import parallel
from cganjax.training import algorithms, runs
from cganjax.training.config import Config
from cganjax.types import UserError


def wanted(config: Config, asked: int | None, folder: Path | None) -> int:
    """The number of devices that a CPU should be split into, before JAX begins. Raises UserError as `choose` does."""
    count, _ = _given(config, asked, folder)
    return count or _default(config, parallel.cores())


def choose(config: Config, asked: int | None, folder: Path | None) -> int:
    """The number of devices that share each batch, at most as many as JAX has.

    Args:
      config: the resolved run.
      asked: the number that the user asked for, or None.
      folder: holds a run that is resumed, whose number is kept; None if there is none.

    Raises:
      UserError: the number does not divide the batch, or JAX has fewer devices.
    """
    count, said = _given(config, asked, folder)
    there = jax.device_count()
    if count is None:
        return _default(config, min(parallel.cores(), there)) if jax.default_backend() == "cpu" else 1
    if count > there:
        raise UserError(
            f"{said}, and there are {there} here: give --devices {there}, or another divisor of the batch_size up to "
            "that; the result will differ in its last bits"
        )
    return count


def _given(config: Config, asked: int | None, folder: Path | None) -> tuple[int | None, str]:
    """The number that the user or an earlier part of the run has fixed, and a sentence that says so."""
    said = f"--devices is {asked}"
    if asked is None and folder is not None:
        asked = runs.devices_before(folder)
        said = f"the run in {folder} shares a batch among {asked} devices"
    if asked is not None and (asked < 1 or config.batch_size % asked):
        raise UserError(f"{said}: give --devices, a divisor of the batch_size, {config.batch_size}")
    return asked, said


def _default(config: Config, limit: int) -> int:
    shares = config.algorithm in algorithms.SHARED
    return parallel.devices_for(config.batch_size, limit) if shares else 1
