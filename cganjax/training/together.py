"""One run folder and several processes: process 0 has the `Run`, and each other one a `Follower` of it."""

import dataclasses
from pathlib import Path
from typing import Any

from cganjax import distributed, run_folder, run_states
from cganjax.training import config as cfg
from cganjax.training import runs
from cganjax.training.config import Config
from cganjax.training.loop import Diverged
from cganjax.types import UserError


def open_run(
    folder: Path | None, config: Config, *, overwrite: bool = False, extend_to: int | None = None
) -> "runs.Run | runs.InMemory | Follower":
    """As `runs.open_run`, by every process of a run; only the first one claims the folder, and writes.

    Raises:
      UserError, CheckpointError: as `runs.Run`, in every process; or the processes were given different configs.
    """
    if not distributed.several():
        return runs.open_run(folder, config, overwrite=overwrite, extend_to=extend_to)
    own, wanted = cfg.to_json(config), distributed.from_first(cfg.to_json(config))
    for name in sorted(own.keys() | wanted.keys()):
        if own.get(name) != wanted.get(name):
            raise UserError(
                f"{name} is {own.get(name)} in this process and {wanted.get(name)} in process 0: start every process "
                "with the same command"
            )
    if folder is None:
        return runs.InMemory(config)
    run = distributed.by_first(lambda: runs.open_run(folder, config, overwrite=overwrite, extend_to=extend_to))
    done, steps = distributed.from_first((run.done, run.config.steps) if run else (0, 0))
    return run or Follower(folder, dataclasses.replace(config, steps=steps), done)


def begin(run: Any, *arguments: Any) -> Any:
    """`run.begin(...)`, after which every process has the manifest of the first.

    Raises:
      UserError: this process has other images than the first one.
    """
    state = run.begin(*arguments)
    written = distributed.from_first(run.manifest)
    if not distributed.first():
        own, run.manifest = run.manifest["data"], written
        if own["fingerprint"] != written["data"]["fingerprint"]:
            raise UserError(
                f"the images of {own['source']} are not those that process 0 has: give every process the same data"
            )
    return state


class Follower(runs.InMemory):
    """The run of a process that writes nothing but its part of each state, which Orbax collects.

    The folder must be on a file system that all hosts share.
    """

    def __init__(self, folder: Path, config: Config, done: int):
        super().__init__(config)
        self.folder, self.done, self._states = folder, done, None

    def begin(self, state: Any, *arguments: Any) -> Any:
        """The newest state in the folder, or the given first one if there is none yet."""
        super().begin(state, *arguments)
        # Returns when the first process has prepared the folder, and opens the states too.
        self._states = run_states.RunStates(self.folder, self.config.keep, self.config.keep_best)
        return self._newest(state)

    def _newest(self, first: Any) -> Any:
        return self._states.restore(first, self.done) if self.done else first

    def save(self, step: int, state: Any) -> None:
        """Keep a state together with the other processes; its rank is the first one's to say."""
        self._states.save(step, state, None)
        self.done = step

    def finished(self) -> dict[str, Any]:
        """The manifest of a run that has come as far as was asked for."""
        return run_folder.read_run(self.folder)[1]

    def restore(self, first: Any, error: Diverged) -> Any:
        """The last state that was kept, or the first one if there is none."""
        self._leave_out(error)
        return self._newest(first)

    def end(self) -> None:
        """Let go of the folder."""
        if self._states:
            self._states.close()
