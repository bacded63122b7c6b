"""`cganjax reproduce`: a run equals its repetition, and each kind of change is found, named and explained."""

import json
import shutil
from pathlib import Path

import pytest

from cganjax import digests, reproduction, run_folder
from cganjax.training.manifest import Change
from cganjax.types import UserError
from experiments import reproduce


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the tiny run: 6 steps, lines of metrics at 2, 3, 4 and 6, checkpoints at 3 and 6."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


@pytest.fixture
def pair(run, tmp_path):
    """The run and a repetition that is the same."""
    return reproduction.read(run), reproduction.read(Path(shutil.copytree(run, tmp_path / "again")))


def edit(run, change):
    """Change each line of the metrics, in a run that keeps no seals of them: as if it had been trained so."""
    path = run / run_folder.METRICS
    path.write_text("\n".join(map(change, path.read_text().splitlines())) + "\n")
    _, manifest = run_folder.read_run(run)
    (run / run_folder.MANIFEST).write_text(json.dumps(digests.sealed({**manifest, "metrics": {}})))


@pytest.mark.filterwarnings("ignore:Sharding info not provided:UserWarning")
def test_a_run_is_reproduced_bit_for_bit(run, command):
    code, out, err = command(reproduce, "run")
    assert (code, err) == (0, "") and "everything is the same, bit for bit" in out
    assert "recipe digits, seed 0, 6 steps" in out and "repeating 6 steps; the run took about" in out
    assert "compared: 4 lines of metrics, 2 states (steps 3, 6)" in out
    assert not [path for path in Path().iterdir() if path.name != "run"], "the repetition is removed"


@pytest.mark.filterwarnings("ignore:Sharding info not provided:UserWarning")
def test_a_changed_metric_is_the_first_difference_with_a_cause(run, command):
    def later(line):
        row = json.loads(line)
        return json.dumps(row | {"loss_generator": row["loss_generator"] + 0.25} if row["step"] > 2 else row)

    edit(run, later)
    code, out, err = command(reproduce, "run", "--steps", "4", "--out", "again")
    assert (code, err) == (1, "") and "likely cause: " in out
    assert "first difference: step 3, metrics.jsonl, loss_generator, by up to 0.25\n" in out
    assert (Path("again") / run_folder.METRICS).exists()
    code, _, err = command(reproduce, "run", "--out", "again")
    assert code == 2 and "--out is again, which is not empty: give a new folder" in err


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["nowhere"], "nowhere is no folder: give a run folder"),
        (["."], "is no checkpoint: it holds no config.json"),
        (["run", "--steps", "7"], "--steps is 7: expected a number from 1 to 6, the last checkpoint of run"),
        (["run", "--steps", "0"], "--steps is 0: expected a number from 1 to 6"),
        (["run", "--dataset", "pattern_1010"], "holds other images than those that run was trained on"),
    ],
)
def test_bad_input_is_one_sentence(run, command, arguments, said):
    code, _, err = command(reproduce, *arguments)
    assert code == 2 and said in err and err.count("\n") == 1


def test_a_run_without_a_checkpoint_has_nothing_to_compare(pair):
    run, _ = pair
    with pytest.raises(UserError, match="run has no checkpoint yet: there is nothing to compare with"):
        reproduction.until(run._replace(manifest={**run.manifest, "steps": 0}), None)


# --- comparing --------------------------------------------------------------------------------------------------------


def test_a_state_that_differs_in_its_digest_alone(pair):
    def with_digest(recorded, digest):
        return recorded._replace(manifest={**recorded.manifest, "states": {"1": "a", "5": digest}})

    def without_checkpoints(recorded):
        shutil.rmtree(recorded.folder / run_folder.STATES)
        return recorded

    run, again = map(without_checkpoints, pair)
    found = reproduction.compare(with_digest(run, "b"), with_digest(again, "b"), 6)
    assert found.first is None and found.states == (1, 5) and found.with_digests
    found = reproduction.compare(with_digest(run, "b"), with_digest(again, "c"), 6)
    assert found.first == (5, "checkpoint", "the digest of all arrays", None, 0)
    assert reproduction.compare(with_digest(run, "b"), with_digest(again, "c"), 4).first is None


def test_an_array_that_differs_is_named_with_its_size(pair, monkeypatch):
    arrays = reproduction._arrays

    def nudged(recorded, step):
        def changed(path):
            return recorded.folder.name == "again" and step == 6 and "generator" in path and path.endswith("kernel")

        return {p: x + x.dtype.type(0.5) if changed(p) else x for p, x in arrays(recorded, step).items()}

    monkeypatch.setattr(reproduction, "_arrays", nudged)
    run, again = (r._replace(manifest={k: v for k, v in r.manifest.items() if k != "states"}) for r in pair)
    found = reproduction.compare(run, again, 6)
    assert found.states == (3, 6) and not found.with_digests
    assert (found.first.step, found.first.where) == (6, "checkpoint") and abs(found.first.size - 0.5) < 1e-6
    assert "generator" in found.first.name and found.first.others > 0
    assert ", by up to 0.5 (and " in str(found.first)


def test_the_first_of_several_differences_and_missing_lines(pair):
    run, again = pair
    lines = (again.folder / run_folder.METRICS).read_text().splitlines()
    (again.folder / run_folder.METRICS).write_text("\n".join(line for line in lines if '"step": 4' not in line) + "\n")
    found = reproduction.compare(run, again, 6)
    assert found.first == (4, "metrics.jsonl", "a line that only the run has", None, 0) and found.lines == 3
    assert reproduction.compare(run, again, 3).first is None
    stopped = run._replace(manifest={**run.manifest, "earlier_parts": [{"steps": 4}]})
    assert reproduction.compare(stopped, again, 6).first is None, "a run that was stopped there has a line more"


def test_nothing_recorded_is_no_success(pair):
    run, again = pair
    with pytest.raises(UserError, match="records nothing of its first 1 steps: give a larger --steps"):
        reproduction.compare(run, again, 1)


# --- conditions and causes --------------------------------------------------------------------------------------------


def test_conditions_name_versions_threads_and_code(pair, digits, monkeypatch):
    run, _ = pair
    git = {"commit": "a" * 40, "dirty": False}
    monkeypatch.setattr(reproduction.records, "git_state", lambda: git)
    same = {**run.manifest, "git": git}
    assert reproduction.conditions(run._replace(manifest=same), digits) == []
    for change, said in (
        ({"versions": {**same["versions"], "jax": "0.9.9"}}, "version of jax: 0.9.9 then, "),
        ({"threads": 64}, "CPU threads for each device: 64 then, "),
        ({"processor": "x86_64-0"}, "kind of CPU: x86_64-0 then, "),
        ({"git": {"commit": "b" * 40, "dirty": False}}, "code: bbbbbbbbbbbb then, aaaaaaaaaaaa now"),
        ({"git": {**git, "dirty": True}}, "code: aaaaaaaaaaaa with uncommitted changes then, aaaaaaaaaaaa now"),
    ):
        (found,) = reproduction.conditions(run._replace(manifest={**same, **change}), digits)
        assert str(found).startswith(said)


def test_a_run_that_itself_went_on_otherwise_is_a_cause(pair):
    run, _ = pair
    first = {**run.manifest, "steps": 3, "threads": 9}
    run = run._replace(manifest={**run.manifest, "earlier_parts": [first]})
    assert run.began["threads"] == 9
    late, early = (reproduction.Difference(step, "checkpoint", "x", None, 0) for step in (6, 3))
    said = reproduction.cause(run, [], late)
    assert said.startswith("the run itself went on otherwise after step 3: CPU threads for each device: 9 then, ")
    assert reproduction.cause(run, [], early).startswith("none is recorded")
    assert reproduction.cause(run, [Change("code", "a", "b", "")], late) == "code: a then, b now"


def test_digests_are_those_of_the_project(pair):
    run, _ = pair
    arrays = reproduction._arrays(run, 6)
    assert digests.of_tree(arrays).keys() == arrays.keys()
