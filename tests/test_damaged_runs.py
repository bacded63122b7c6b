"""Damage to a run folder is named by whatever reads the damaged part, and never called a difference of the code."""

import json
import shutil
from pathlib import Path

import pytest

import cganjax
from cganjax import digests, metrics_lines, reproduction, run_folder
from cganjax.types import RunFolderWarning
from experiments import curves, reproduce


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the tiny run: 6 steps, lines of metrics at 2, 3, 4 and 6, checkpoints at 3 and 6."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def removed(path):
    path.unlink()


def cut(path):
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))


def another_digit(path):
    """Another loss in the last line, which is JSON as before."""
    *lines, last = path.read_text().splitlines()
    row = json.loads(last)
    path.write_text("\n".join([*lines, json.dumps(row | {"loss_generator": row["loss_generator"] + 6})]) + "\n")


DAMAGE = {
    removed: "where 4 of 4 lines are missing",
    cut: "where 1 of 4 lines are missing",
    another_digit: "one of the lines 3 to 4, which differ from their digest",
}
warns = pytest.mark.filterwarnings("always::cganjax.types.RunFolderWarning")
each_damage = pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)


def damage_state(run, step):
    """Overwrite the largest file of a checkpoint's arrays."""
    path = max((run / f"checkpoints/{step}/state").rglob("d/*"), key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# --- metrics ----------------------------------------------------------------------------------------------------------


@warns
@each_damage
def test_a_finished_run_says_that_its_metrics_are_damaged(run, train_tiny, damage):
    damage(run / run_folder.METRICS)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    code, out, err = train_tiny("--out", "run")
    assert code == 0 and "already at step 6 of 6: nothing to do" in out
    assert err.startswith("warning: run/metrics.jsonl is damaged in ") and DAMAGE[damage] in err
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@warns
@pytest.mark.parametrize("damage", [cut, another_digit], ids=lambda damage: damage.__name__)
def test_curves_and_cards_say_so(run, command, damage):
    damage(run / run_folder.METRICS)
    code, _, err = command(curves, "run")
    assert code == 0 and DAMAGE[damage] in err and err.count("\n") == 1
    with pytest.warns(RunFolderWarning, match=DAMAGE[damage]):
        cganjax.load(run)


def test_a_whole_run_and_what_is_not_sealed_yet_are_no_damage(run):
    rows = metrics_lines.read(run)
    assert [row["step"] for row in rows] == [2, 3, 4, 6]
    path = run / run_folder.METRICS
    path.write_text(path.read_text() + '{"step": 7, "steps": 1}\n{"step": 8, "st')  # of a run that goes on
    assert metrics_lines.read(run) == [*rows, {"step": 7, "steps": 1}]
    # The process was killed after it had sealed the lines of step 6, and before the checkpoint of that step.
    _, manifest = run_folder.read_run(run)
    manifest["steps"] = 3
    (run / run_folder.MANIFEST).write_text(json.dumps(digests.sealed(manifest)))
    cut(path)
    assert metrics_lines.read(run) == rows[:3]


# --- reproduce --------------------------------------------------------------------------------------------------------


def with_a_repetition(monkeypatch, run):
    """The repetition is a copy of the run, made at once: what is trained is not what these tests are about."""
    whole = Path(shutil.copytree(run, run.parent / "whole"))

    def again(recorded, dataset, out, steps, **options):
        shutil.copytree(whole, out)
        return steps

    monkeypatch.setattr(reproduction, "again", again)
    monkeypatch.setattr(reproduction, "conditions", lambda run, dataset: [])


@each_damage
def test_reproduce_names_damaged_metrics_as_the_cause(run, command, monkeypatch, damage):
    with_a_repetition(monkeypatch, run)
    damage(run / run_folder.METRICS)
    code, out, err = command(reproduce, "run")
    said = f"run/metrics.jsonl is damaged in {'its end, ' * (damage is not another_digit)}{DAMAGE[damage]}\n"
    assert (code, err) == (1, "") and f"damaged: {said}" in out and "everything" not in out
    if damage is cut:  # the line of the last step, which a run that was stopped there may have or not
        assert out.endswith("what could be compared is the same, but the run is damaged, as said above\n")
    else:
        assert "first difference: step " in out and out.endswith(f"likely cause: {said}")


@pytest.mark.parametrize("step", [3, 6])
def test_reproduce_names_a_damaged_checkpoint(run, command, monkeypatch, step):
    with_a_repetition(monkeypatch, run)
    damage_state(run, step)
    code, out, err = command(reproduce, "run")
    assert (code, err) == (1, "") and f"damaged: run/checkpoints/{step} is damaged: " in out
    assert out.index("damaged: ") < out.index("repeating 6 steps"), "it is said before the work"
    assert out.endswith("what could be compared is the same, but the run is damaged, as said above\n")
    assert "everything" not in out


def test_reproduce_names_a_checkpoint_of_another_run(run, command, monkeypatch):
    """Its own digests hold, those of the manifest do not."""
    with_a_repetition(monkeypatch, run)
    _, manifest = run_folder.read_run(run)
    manifest["states"]["6"] = "0" * 64
    (run.parent / "whole" / run_folder.MANIFEST).write_text(json.dumps(digests.sealed(manifest)))
    (run / run_folder.MANIFEST).write_text(json.dumps(digests.sealed(manifest)))
    code, out, _ = command(reproduce, "run")
    assert code == 1 and "damaged: run/checkpoints/6 is not the checkpoint that run/manifest.json records" in out


def test_reproduce_claims_no_more_than_it_compared(run, command, monkeypatch):
    with_a_repetition(monkeypatch, run)
    code, out, _ = command(reproduce, "run", "--steps", "2")
    assert code == 0 and out.endswith("1 lines of metrics, 0 states\nthe metrics are the same; no state was compared\n")
    code, out, _ = command(reproduce, "run")
    assert code == 0 and out.endswith("2 states (steps 3, 6)\neverything is the same, bit for bit\n")
