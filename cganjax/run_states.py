"""The full states of a run on disk: `RUN/checkpoints/STEP/`, written by Orbax."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cganjax.files import quiet
from cganjax.run_folder import STATES
from cganjax.types import CheckpointError


class RunStates:
    """The Orbax checkpoints of a run folder: the newest `keep`, each a whole state. None is half-written."""

    def __init__(self, run: Path, keep: int | None = None, keep_best: bool = False):
        """Open them, to read only if `keep` is None. With `keep_best` the one with the lowest loss is kept as well."""
        import orbax.checkpoint as ocp

        self._ocp = ocp
        self.folder = (run / STATES).resolve()
        policy = ocp.checkpoint_managers
        kept = [] if keep is None else [policy.LatestN(keep)]
        if keep_best:
            kept.append(policy.BestN(get_metric_fn=_loss, reverse=True, n=1, keep_checkpoints_without_metrics=False))
        with quiet("absl"):  # Orbax logs each act at length
            # Saving waits for the disk, because the next step takes over the state's memory.
            options = ocp.CheckpointManagerOptions(
                preservation_policy=policy.AnyPreservationPolicy(kept) if kept else None,
                best_fn=_loss,
                best_mode="min",
                enable_async_checkpointing=False,
                read_only=keep is None,
                cleanup_tmp_directories=keep is not None,
            )
            self._manager = ocp.CheckpointManager(self.folder, options=options)

    def steps(self) -> list[int]:
        """The steps of the checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def best(self) -> int | None:
        """The step of the checkpoint with the lowest loss."""
        return self._manager.best_step()

    def save(self, step: int, state: Any, loss: float) -> None:
        """Keep the state of `step`, ranked by `loss`; saving the same step again does nothing."""
        if step not in self._manager.all_steps():
            with quiet("absl"):
                self._manager.save(step, args=self._ocp.args.StandardSave(state), metrics={"loss": loss}, force=True)

    def restore(self, like: Any, step: int | None = None) -> Any:
        """The state of `step` (None: the newest), on this process's device, with the structure of `like`.

        Raises:
          CheckpointError: there is none, or it cannot be read as such a state.
        """
        steps = self.steps()
        step = steps[-1] if step is None and steps else step
        if step not in steps:
            raise CheckpointError(f"{self.folder} holds no checkpoint{'' if step is None else f' of step {step}'}")
        try:
            with quiet("absl"):
                return self._manager.restore(step, args=self._ocp.args.StandardRestore(like))
        except Exception as error:  # Orbax and TensorStore have no common error
            reason = str(error).strip().split(":")[0].splitlines()[0] if str(error).strip() else type(error).__name__
            raise CheckpointError(
                f"{self.folder / str(step)} is damaged or foreign ({reason}): delete it to go on from an earlier one"
            ) from error

    def close(self) -> None:
        """Close the folder."""
        self._manager.close()


def _loss(metrics: Mapping[str, float]) -> float:
    return metrics["loss"]


def newest_step(run: Path) -> int:
    """The step of a run folder's newest complete checkpoint, or 0 if it has none."""
    if not (run / STATES).is_dir():
        return 0
    states = RunStates(run)
    steps = states.steps()
    states.close()
    return max(steps, default=0)
