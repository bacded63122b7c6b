"""Train a recorded run again, and compare: the conditions, the metrics line by line, the states array by array.

`cganjax reproduce RUN` prints what is found here.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cganjax import data, digests, metrics_lines, run_folder
from cganjax.data import Dataset
from cganjax.run_states import RunStates
from cganjax.training import beginning, session
from cganjax.training import config as cfg
from cganjax.training import manifest as records
from cganjax.training.config import Config
from cganjax.training.manifest import Change
from cganjax.training.progress import Progress
from cganjax.types import CheckpointError, UserError

Row = dict[str, Any]  # a line of metrics.jsonl


class Recorded(NamedTuple):
    """A run folder as it was found."""

    folder: Path
    config: Config
    manifest: Mapping[str, Any]

    @property
    def began(self) -> Mapping[str, Any]:
        """The conditions under which the run began: those of its first part, if it was resumed."""
        return (*self.manifest["earlier_parts"], self.manifest)[0]


class Difference(NamedTuple):
    """Where a run and its repetition differ."""

    step: int
    where: str  # "metrics.jsonl" or "checkpoint"
    name: str  # of the metric or the array
    size: float | None  # the largest difference; None if only digests, or one of the two, are there
    others: int  # metrics or arrays that differ at the same step as well

    def __str__(self) -> str:
        size = "" if self.size is None else f", by up to {self.size:.3g}"
        others = f" (and {self.others} more)" * (self.others > 0)
        return f"step {self.step}, {self.where}, {self.name}{size}{others}"


class Damage(NamedTuple):
    """What is damaged in a run folder, in sentences."""

    metrics: str | None
    states: Mapping[int, str]  # by step

    @property
    def said(self) -> list[str]:
        """All of them."""
        return [*([self.metrics] if self.metrics else []), *self.states.values()]


SOUND = Damage(None, {})


class Compared(NamedTuple):
    """What a comparison covered and found."""

    lines: int  # of metrics.jsonl
    states: tuple[int, ...]  # steps whose states were compared
    with_digests: bool  # whether the run recorded the digests of its states
    first: Difference | None  # None: everything is the same, bit for bit


def read(folder: Path) -> Recorded:
    """The run in a folder.

    Raises:
      UserError: there is no such folder.
      CheckpointError: it holds no run, or one that is damaged.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: give a run folder, as cganjax train makes it")
    values, manifest = run_folder.read_run(folder)
    try:
        return Recorded(folder, cfg.from_json(values), manifest)
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"{folder / run_folder.CONFIG} is no run of this version: {error}") from error


def until(run: Recorded, steps: int | None) -> int:
    """The step up to which the run is repeated. Raises UserError if the run has not come so far."""
    most = run.manifest["steps"]
    if not most:
        raise UserError(f"{run.folder} has no checkpoint yet: there is nothing to compare with")
    if steps is None:
        steps = most
    if not 1 <= steps <= most:
        raise UserError(f"--steps is {steps}: expected a number from 1 to {most}, the last checkpoint of {run.folder}")
    return steps


def images(run: Recorded, dataset: str | None, data_dir: str | None, size: int | None = None) -> Dataset:
    """The images that the run was trained on. Raises UserError if they are not there, or are others."""
    recorded = run.manifest["data"]
    place = recorded.get("place", "")  # of a folder or a file, from wherever the command is called
    name = dataset or (place if os.path.exists(place) else run.config.dataset)
    found = data.load(name, run.config.split, data_dir, size or recorded.get("size"))
    if found.fingerprint != recorded["fingerprint"]:
        raise UserError(
            f"{found.source} holds other images than those that {run.folder} was trained on "
            f"({len(found.images)} images now, {recorded['images']} then): give the same ones (--dataset, --data-dir)"
        )
    return found


def conditions(run: Recorded, dataset: Dataset) -> list[Change]:
    """What decides the bits and is not as it was when the run began: the code, the versions, the machine."""
    now = records.manifest(run.config, dataset, [], _devices(run), block=_block(run))
    return [*_code(run.began.get("git") or {}, now["git"]), *records.changes(run.began, now)]


def again(
    run: Recorded,
    dataset: Dataset,
    out: Path,
    steps: int,
    *,
    data_dir: str | None = None,
    progress: Progress | bool = True,
    should_stop: Callable[[], bool] | None = None,
) -> int:
    """Train the run again from its config and seed into a new folder; returns the step that it came to.

    A run that was made longer is made longer at the same steps.

    Raises:
      UserError: the checkpoint that the run began with is not there, or holds other weights.
    """
    beginning.check_same(run.manifest.get("init_from"), run.config)
    rows = metrics_lines.find(run.folder).rows
    tried = hasattr(run.config, "classifier") and any("steps" not in row for row in rows)
    source = dataset.place or run.config.dataset  # of a folder or a file, where its training images were found
    test = data.load(source, "test", data_dir, dataset.size) if tried else None
    first, *lengths = _lengths(run, steps)
    for until, length in (first, *lengths):
        done = session.train(
            dataclasses.replace(run.config, steps=first[1]),
            dataset,
            out=out,
            test=test,
            stop_after=until,
            extend_to=None if length == first[1] else length,
            on_nonfinite="restore" if run.manifest.get("restored") else "stop",
            devices=_devices(run),
            block=_block(run),
            progress=progress,
            should_stop=should_stop,
            command=["cganjax", "reproduce", str(run.folder)],
        )
        if done.step < until:
            break
    return done.step


def _lengths(run: Recorded, steps: int) -> list[tuple[int, int]]:
    """The parts of a run up to a step: the last step of each, and the length of the run that its schedules had."""
    extended = run.manifest.get("extended") or []
    begins = {0: extended[0]["from"] if extended else run.config.steps} | {e["at"]: e["to"] for e in extended}
    ends = [*sorted(begins)[1:], steps]
    return [(min(end, steps), begins[at]) for at, end in zip(sorted(begins), ends, strict=True) if at < steps]


def damage(run: Recorded) -> Damage:
    """What is damaged in a run folder: its metrics by their seals, each of its checkpoints by its digests."""
    recorded, damaged = run.manifest.get("states") or {}, {}
    with contextlib.closing(RunStates(run.folder)) as states:
        for step in states.steps():
            try:
                states.restore(None, step)
                arrays = states.digests(step)
            except CheckpointError as error:
                damaged[step] = str(error)
                continue
            if arrays and recorded.get(str(step), digests.of_json(arrays)) != digests.of_json(arrays):
                manifest = run.folder / run_folder.MANIFEST
                damaged[step] = f"{states.folder / str(step)} is not the checkpoint that {manifest} records"
    return Damage(metrics_lines.find(run.folder).damage, damaged)


def compare(run: Recorded, repeated: Recorded, steps: int, damaged: Damage = SOUND) -> Compared:
    """Compare a run with its repetition up to a step.

    Lines of the metrics are compared value by value. States are compared by the digests in the manifests, and array by
    array if both folders still hold a sound checkpoint of the step.

    Args:
      run: the run.
      repeated: its repetition.
      steps: the last step that is compared.
      damaged: what `damage` found in the run.

    Raises:
      UserError: nothing is recorded of these steps.
      CheckpointError: a checkpoint of the repetition is damaged.
    """
    lines, of_lines = _compare_metrics(run, repeated, steps)
    states, of_states = _compare_states(run, repeated, steps, damaged.states)
    if not (lines or states or damaged.said):
        raise UserError(f"{run.folder} records nothing of its first {steps} steps: give a larger --steps")
    first = min([*of_lines, *of_states], key=lambda d: (d.step, d.where == "checkpoint"), default=None)
    return Compared(lines, states, bool(run.manifest.get("states")), first)


def cause(run: Recorded, changed: list[Change], first: Difference, damaged: Damage = SOUND) -> str:
    """The likely cause of a difference, in words."""
    if first.where == run_folder.METRICS and damaged.metrics:
        return damaged.metrics
    if changed:
        return "; ".join(map(str, changed))
    parts = [*run.manifest["earlier_parts"], run.manifest]
    for before, after in zip(parts, parts[1:], strict=False):
        if before.get("steps", 0) < first.step and (between := records.changes(before, after)):
            return f"the run itself went on otherwise after step {before['steps']}: " + "; ".join(map(str, between))
    return (
        "none is recorded: code, versions, data and machine are as they were. Repeat it once more; if the repetitions "
        "differ from each other, run cganjax doctor"
    )


# --- metrics ----------------------------------------------------------------------------------------------------------


def _compare_metrics(run: Recorded, repeated: Recorded, steps: int) -> tuple[int, list[Difference]]:
    """The number of lines compared, and the differences by step."""
    then, now = (_rows(r.folder, steps) for r in (run, repeated))
    # Where a run was stopped, its interval between two lines is cut.
    cuts = {steps, *(part.get("steps") for part in run.manifest["earlier_parts"])}
    compared, found = 0, []
    for key in sorted({*then, *now}):
        step, before, after = key[0], then.get(key), now.get(key)
        if before is None or after is None:
            if step not in cuts:
                who = "the run" if after is None else "its repetition"
                found.append(Difference(step, run_folder.METRICS, f"a line that only {who} has", None, 0))
        elif before.get("steps") == after.get("steps"):
            compared += 1
            names = [name for name in (before | after) if before.get(name) != after.get(name)]
            if names:
                size = _distance(before.get(names[0]), after.get(names[0]))
                found.append(Difference(step, run_folder.METRICS, names[0], size, len(names) - 1))
    return compared, found


def _rows(folder: Path, steps: int) -> dict[tuple[int, bool], Row]:
    """The lines up to a step, by the step and whether they are of training (or of a trial)."""
    rows = metrics_lines.find(folder).rows
    return {(row["step"], "steps" in row): row for row in rows if row["step"] <= steps}


def _distance(before: Any, after: Any) -> float | None:
    numbers = isinstance(before, int | float) and isinstance(after, int | float)
    return abs(before - after) if numbers else None


# --- states -----------------------------------------------------------------------------------------------------------


def _compare_states(
    run: Recorded, repeated: Recorded, steps: int, damaged: Mapping[int, str]
) -> tuple[tuple[int, ...], list[Difference]]:
    """The steps whose states were compared, and the differences by step."""
    compared, found = [], []
    digest_then, digest_now = (r.manifest.get("states") or {} for r in (run, repeated))
    there = [{*_steps(run.folder)} - damaged.keys(), _steps(repeated.folder)]
    for step in sorted({*map(int, digest_then), *there[0]}):
        by_digest = str(step) in digest_then and str(step) in digest_now
        by_array = all(step in held for held in there)
        if step > steps or not (by_digest or by_array):
            continue
        compared.append(step)
        if by_digest and digest_then[str(step)] == digest_now[str(step)]:
            continue
        if by_array:
            found += _compare_arrays(run, repeated, step)
        else:
            found.append(Difference(step, "checkpoint", "the digest of all arrays", None, 0))
    return tuple(compared), found


def _steps(folder: Path) -> list[int]:
    with contextlib.closing(RunStates(folder)) as states:
        return states.steps()


def _compare_arrays(run: Recorded, repeated: Recorded, step: int) -> Iterator[Difference]:
    then, now = (_arrays(r, step) for r in (run, repeated))
    before, after = digests.of_tree(then), digests.of_tree(now)
    different = [name for name in before | after if before.get(name) != after.get(name)]
    if different:
        name = different[0]
        yield Difference(step, "checkpoint", name, _apart(then.get(name), now.get(name)), len(different) - 1)


def _apart(before: np.ndarray | None, after: np.ndarray | None) -> float | None:
    """The largest difference of two arrays; None if one is missing or has another shape."""
    if before is None or after is None or before.shape != after.shape:
        return None
    return float(np.max(np.abs(before.astype(np.float64) - after.astype(np.float64)), initial=0))


def _arrays(run: Recorded, step: int) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint by their paths."""
    return RunStates(run.folder).restore(None, step)


# --- conditions -------------------------------------------------------------------------------------------------------


def _devices(run: Recorded) -> int:
    return run.began.get("devices") or run.manifest.get("devices") or 1


def _block(run: Recorded) -> int | None:
    return run.began.get("block")


def _code(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """A change of the source code: another commit, or changes that no commit holds."""
    before, after = _commit(then), _commit(now)
    if None in (before, after) or (before == after and not now["dirty"]):
        return []
    return [Change("code", before, after, "check out the same commit")]


def _commit(git: Mapping[str, Any]) -> str | None:
    commit = git.get("commit")
    return commit and commit[:12] + " with uncommitted changes" * bool(git.get("dirty"))
