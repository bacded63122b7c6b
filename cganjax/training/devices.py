"""How many devices share a batch: as asked, as the run began, all of several processes, or one.

On a CPU it is one per core if the algorithm gains by it.
"""

import numbers
from pathlib import Path
from typing import Any

import jax

from cganjax import determinism, parallel
from cganjax.training import algorithms, runs
from cganjax.training.config import Config
from cganjax.types import UserError


def wanted(config: Config, asked: int | None, folder: Path | None, processes: int = 1) -> int:
    """The number of devices that each process's CPU should be split into, before JAX begins.

    Raises:
      UserError: as `choose` does.
    """
    count, _ = _given(config, asked, folder)
    if processes > 1:
        return max((count or 0) // processes, 1)
    return count or _default(config, _cores())


def choose(config: Config, asked: int | None, folder: Path | None) -> int:
    """The number of devices that share each batch, at most as many as JAX has.

    Args:
      config: the resolved run.
      asked: the number that the user asked for, or None.
      folder: holds a run that is resumed, whose number is kept; None if there is none.

    Raises:
      UserError: the number does not divide the batch, JAX has fewer devices, or they cannot be equally many of each
        process.
    """
    count, said = _given(config, asked, folder)
    there, processes = jax.device_count(), jax.process_count()
    if count is None and processes > 1:
        fitting = [n for n in range(processes, there + 1, processes) if _divides(n, config)]
        if not fitting:
            raise UserError(
                f"batch_size is {config.batch_size} and {processes} processes share each batch: expected a multiple of "
                f"{processes}"
            )
        return fitting[-1]
    if count is not None and count % processes:
        raise UserError(
            f"{said}, and there are {processes} processes: give devices=N, a multiple of {processes} and a divisor of "
            f"the batch_size, {config.batch_size}; the result will differ in its last bits"
        )
    if count is None:
        return _default(config, min(_cores(), there)) if jax.default_backend() == "cpu" else 1
    if count > there:
        fitting = (n for n in range(processes, there + 1, processes) if _divides(n, config))
        most = max(fitting, default=processes)
        raise UserError(
            f"{said}, and there are {there} here: give devices={most}, or a smaller divisor of the batch_size; "
            "the result will differ in its last bits"
        )
    return count


def _given(config: Config, asked: int | None, folder: Path | None) -> tuple[int | None, str]:
    """The number that the user or an earlier part of the run has fixed, and a sentence that says so."""
    said, divisor = f"devices is {asked}", f"a divisor of the batch_size, {config.batch_size}"
    if asked is not None and not _divides(asked, config):
        raise UserError(f"{said}: expected {divisor}")
    if asked is None and folder is not None:
        asked = runs.devices_before(folder)
        said = f"the run in {folder} shares a batch among {asked} devices"
        if asked is not None and not _divides(asked, config):
            raise UserError(f"{said}: give devices=N, {divisor}")
    return asked, said


def _divides(count: Any, config: Config) -> bool:
    return isinstance(count, numbers.Integral) and count >= 1 and config.batch_size % count == 0


def _default(config: Config, limit: int) -> int:
    shares = config.algorithm in algorithms.SHARED
    return parallel.devices_for(config.batch_size, limit) if shares else 1


def _cores() -> int:
    """CPU cores that the default may count on: a deterministic run has the same number of devices everywhere."""
    return 1 if determinism.fixed() else parallel.cores()
