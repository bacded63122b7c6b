"""A run's checkpoints: what is restored is what was saved, bit for bit, or it is said that it is not."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cganjax
from benchmarks import damage
from cganjax import checkpoint as ckpt
from cganjax import digests, metrics_lines, run_states, sampling
from cganjax.run_states import RunStates
from cganjax.training import runs
from cganjax.types import CheckpointError, DamagedCheckpoint

ROOT = Path(__file__).resolve().parents[1]
fallback = pytest.mark.filterwarnings("default::cganjax.types.DamagedCheckpoint")


class State(NamedTuple):
    """A state of the kinds of nodes that real ones have."""

    step: jax.Array
    weights: dict
    optimizer: tuple


def state_at(step):
    random = np.random.default_rng(step)
    # Random bits, so that a compressed file holds nothing but data.
    arrays = {"kernel": random.normal(size=(40, 50)).astype(np.float32), "empty": {}}
    moments = ({"count": jnp.int32(step), "mu": jnp.float16(0.5)}, None)
    return State(jnp.int32(step), jax.tree.map(jnp.asarray, arrays), moments)


LIKE = jax.eval_shape(lambda: state_at(0))


@pytest.fixture
def run(tmp_path, once):
    """A run folder with the checkpoints 10, 20 and 30."""

    def make(folder):
        states = RunStates(folder / "run", keep=3)
        for step in (10, 20, 30):
            states.save(step, state_at(step), loss=step / 100)
        states.close()

    return shutil.copytree(once("states", make) / "run", tmp_path / "run")


def same(a, b):
    return jax.tree.structure(a) == jax.tree.structure(b) and digests.of_tree(a) == digests.of_tree(b)


def flip(path, place=0.5):
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 4
    path.write_bytes(data)


def largest(folder):
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


# --- what is saved ----------------------------------------------------------------------------------------------------


def test_a_state_comes_back_with_the_digests_that_saving_returned(tmp_path):
    states, state = RunStates(tmp_path, keep=1), state_at(7)
    arrays = states.save(7, state, loss=0.5)
    states.close()
    assert arrays == digests.of_tree(state) == RunStates(tmp_path).digests(7)
    assert set(arrays) == {"step", "weights/kernel", "optimizer/0/count", "optimizer/0/mu"}
    for like in (LIKE, state_at(0)):
        restored = RunStates(tmp_path).restore(like)
        assert same(restored, state) and all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(restored))


def test_the_digests_are_of_the_state_in_memory_not_of_what_was_written(tmp_path, monkeypatch):
    import orbax.checkpoint as ocp

    states, write = RunStates(tmp_path, keep=1), ocp.args.StandardSave
    monkeypatch.setattr(
        ocp.args, "StandardSave", lambda state: write(jax.tree.map(lambda x: x + x.dtype.type(1), state))
    )
    states.save(1, state_at(1), loss=0.5)
    with pytest.raises(
        CheckpointError, match="checkpoints/1 is damaged: .* is not as it was saved, nor are 3 others of 4"
    ):
        states.restore(LIKE)
    states.close()


def test_a_checkpoint_of_other_arrays_is_refused_with_their_name(run):
    for change, said in (
        (
            {"weights": {"kernel": jnp.zeros((40, 51))}},
            "weights/kernel as float32[40, 50], and this run needs float32[40, 51]",
        ),
        ({"step": jnp.float32(0)}, "holds step as int32[], and this run needs float32[]"),
        ({"weights": {}}, "holds weights/kernel as float32[40, 50], and this run needs nothing"),
        ({"weights": LIKE.weights | {"bias": jnp.zeros(2)}}, "weights/bias as nothing, and this run needs float32[2]"),
    ):
        with pytest.raises(CheckpointError) as error:
            RunStates(run).restore(LIKE._replace(**change))
        assert said in str(error.value)
    with pytest.raises(CheckpointError, match="run/checkpoints holds no checkpoint of step 11"):
        RunStates(run).restore(LIKE, 11)


def test_reading_changes_nothing(run):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    flip(path := largest(run / "checkpoints/30"))
    RunStates(run).restore_newest(LIKE)
    run_states.newest_sound(run)
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert before.keys() == after.keys() and {p for p in before if before[p] != after[p]} <= {path}


# --- damage -----------------------------------------------------------------------------------------------------------


def test_flips_in_the_data_are_noticed(run):
    """23 of 24 such flips restored wrong arrays before there were digests."""
    path, random, found = largest(run / "checkpoints/30"), np.random.default_rng(0), []
    saved, data = digests.of_tree(state_at(30)), path.read_bytes()
    for place in random.integers(len(data), size=24):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << int(random.integers(8))]) + data[place + 1 :])
        found.append(damage.outcome(run, 30, saved, 0.3))
    assert found.count(damage.SILENT) == 0 and found.count(damage.NOTICED) >= 18, found


def test_no_damage_to_any_file_of_a_checkpoint_is_silent(run):
    found = list(damage.damage(run, 30, flips=1))
    files = {
        str(path.relative_to(run / "checkpoints/30")) for path in (run / "checkpoints/30").rglob("*") if path.is_file()
    }
    assert {file for file, _, _ in found} == files and len(files) >= 12
    assert [row for row in found if row[2] == damage.SILENT] == []
    noticed = {file.split("/")[0] for file, _, outcome in found if outcome == damage.NOTICED}
    assert {"record", "state"} <= noticed
    assert same(RunStates(run).restore(LIKE, 30), state_at(30)), "all is put back"


def test_the_measure_of_damage_sees_a_silent_change(run, monkeypatch):
    monkeypatch.setattr(RunStates, "_is_old", lambda self, step: True)  # as if there were no digests
    monkeypatch.setattr(run_states, "OLD_STATE", run_states.STATE)
    monkeypatch.setattr(RunStates, "loss", lambda self, step: 0.3)
    flip(largest(run / "checkpoints/30"))
    assert damage.outcome(run, 30, digests.of_tree(state_at(30)), 0.3) == damage.SILENT


@pytest.mark.parametrize("gone", ["record", "record/metadata", "state", "state/_METADATA", "state/manifest.ocdbt", "."])
@pytest.mark.parametrize("how", ["removed", "empty"])
def test_a_new_checkpoint_never_passes_for_an_old_one(run, gone, how):
    path = run / "checkpoints/30" / gone
    folder = path.is_dir()
    shutil.rmtree(path) if folder else path.unlink()
    if how == "empty":
        path.mkdir() if folder else path.touch()
    if gone == "." and how == "removed":
        assert run_states.newest_sound(run) == (20, [])
        return
    step, damaged = run_states.newest_sound(run)
    assert step == 20 and len(damaged) == 1
    with pytest.raises(CheckpointError, match="run/checkpoints/30.* is damaged: "):
        RunStates(run).restore(LIKE, 30)


def test_every_byte_of_a_record_matters(run):
    path = run / "checkpoints/30/record/metadata"
    data, states = path.read_bytes(), RunStates(run)
    saved, random = (states.digests(30), states.loss(30)), np.random.default_rng(0)
    assert json.loads(data)["loss"] == 0.3
    for place in [*range(30), *random.integers(len(data), size=200)]:
        path.write_bytes(data[:place] + bytes([data[place] ^ int(random.integers(1, 256))]) + data[place + 1 :])
        try:
            assert (states.digests(30), states.loss(30)) == saved  # a space became another
        except CheckpointError:
            continue
    for foreign in (b"5", b"null", b"[1]", b"{}", b"[" * 200_000, b"\xff\xfe", b'{"arrays": 3}'):
        path.write_bytes(foreign)
        with pytest.raises(CheckpointError, match="damaged"):
            states.digests(30)


def test_a_checkpoint_under_another_name_is_damaged(run):
    os.rename(run / "checkpoints/30", run / "checkpoints/40")
    with pytest.raises(CheckpointError, match="checkpoints/40 is damaged: it is the checkpoint of step 30"):
        RunStates(run).restore(LIKE, 40)


# --- the next sound one -----------------------------------------------------------------------------------------------


def test_the_newest_sound_one_is_found_and_the_damaged_are_named(run):
    flip(largest(run / "checkpoints/30"))
    (run / "checkpoints/20/state/manifest.ocdbt").write_bytes(b"")
    step, state, damaged = RunStates(run).restore_newest(LIKE)
    assert step == 10 and same(state, state_at(10))
    assert [text.partition(" is damaged: ")[0] for text in damaged] == [
        f"{run}/checkpoints/30",
        f"{run}/checkpoints/20",
    ]
    assert "weights/kernel is not as it was saved" in damaged[0] and "cannot be read (" in damaged[1]
    (run / "checkpoints/10/record/metadata").unlink()
    with pytest.raises(
        CheckpointError, match=r"/30 is damaged.*/20 is.*/10 is.*; none is left: train anew .*--overwrite"
    ):
        run_states.newest_sound(run)


def test_a_resumed_run_sets_damaged_checkpoints_aside_and_saves_their_steps_again(run):
    flip(largest(run / "checkpoints/30"))
    damaged = largest(run / "checkpoints/30").read_bytes()
    for _ in range(2):  # also if one was set aside before
        done, _ = run_states.newest_sound(run)
        states = RunStates(run, keep=3, after=done)
        assert states.steps() == [10, 20]
        states.save(30, state_at(30), loss=0.3)
        states.close()
        assert same(RunStates(run).restore(LIKE), state_at(30))
        assert largest(run / "checkpoints/30.damaged").read_bytes() == damaged
        largest(run / "checkpoints/30").write_bytes(damaged)
    states = RunStates(run, keep=3, after=20)
    states.save(25, state_at(25), loss=0.3)
    states.save(30, state_at(30), loss=0.3)
    states.close()
    assert states.steps() == [20, 25, 30], "what is set aside does not count"


@pytest.mark.parametrize("kind", ["an empty folder", "a file", "a link to nowhere"])
def test_a_name_without_a_checkpoint_is_no_checkpoint(run, kind):
    path, before = run / "checkpoints/40", run / "checkpoints/40.damaged"
    before.touch() if kind == "an empty folder" else before.mkdir()
    {"an empty folder": path.mkdir, "a file": path.touch, "a link to nowhere": lambda: path.symlink_to("nowhere")}[
        kind
    ]()
    step, damaged = run_states.newest_sound(run)
    assert step == 30 and len(damaged) == 1 and "run/checkpoints/40 is damaged: it holds no record" in damaged[0]
    states = RunStates(run, keep=3, after=30)
    states.save(40, state_at(40), loss=0.4)
    states.close()
    assert same(RunStates(run).restore(LIKE), state_at(40)) and before.is_dir() == (kind == "an empty folder")


def test_leftovers_of_a_killed_save_are_removed(run):
    left = run / "checkpoints/40.orbax-checkpoint-tmp"
    shutil.copytree(run / "checkpoints/30", left)
    assert RunStates(run).steps() == [10, 20, 30] and left.exists()
    states = RunStates(run, keep=3, after=30)
    states.save(40, state_at(40), loss=0.4)
    states.close()
    assert not left.exists() and states.steps() == [20, 30, 40]


def test_damage_does_not_keep_a_run_from_going_on(run):
    """Orbax reads metadata of all checkpoints unless it is told not to."""
    for name in ("10/_CHECKPOINT_METADATA", "20/_CHECKPOINT_METADATA", "10/record/metadata", "30/commit_success.txt"):
        (run / "checkpoints" / name).write_bytes(b"")
    states = RunStates(run, keep=2, keep_best=True, after=30)
    states.save(40, state_at(40), loss=0.4)
    states.close()
    assert states.steps() == [20, 30, 40], "20 is the best whose loss can be read"


def test_checkpoints_being_a_file_is_refused_at_once(tmp_path, tiny):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/checkpoints").touch()
    for read in (RunStates, run_states.newest_sound):
        with pytest.raises(CheckpointError, match="run/checkpoints is a file: expected the folder"):
            read(tmp_path / "run")


# --- the best one -----------------------------------------------------------------------------------------------------


def test_the_best_is_the_lowest_of_those_with_a_loss(tmp_path):
    states = RunStates(tmp_path, keep=1, keep_best=True)
    for step, loss in ((1, None), (2, 0.9), (4, 0.3), (5, None), (6, 0.8), (8, 0.5)):
        states.save(step, {"x": jnp.float32(step)}, loss)
    states.close()
    assert states.steps() == [4, 8] and states.best() == 4
    assert states.restore_newest(best=True).step == 4 and states.restore_newest().step == 8
    assert run_states.newest_sound(tmp_path) == (8, []), "a resumed run goes on from the newest"
    flip(largest(tmp_path / "checkpoints/4/state"), 0.9)
    (tmp_path / "checkpoints/4/record/metadata").write_bytes(b"")  # it may be the best one: that is said
    found = states.restore_newest(best=True)
    assert found.step == 8 and "checkpoints/4" in found.damaged[0] and states.best() == 8


def test_without_any_loss_the_newest_is_the_best(tmp_path):
    states = RunStates(tmp_path, keep=2, keep_best=True)
    states.save(1, {"x": jnp.float32(1)}, None)
    states.save(2, {"x": jnp.float32(2)}, None)
    states.close()
    assert states.best() is None and states.restore_newest(best=True).step == 2


def test_only_whole_intervals_rank_a_checkpoint(tiny):
    config, _ = tiny  # 6 steps, a checkpoint after each third
    rows = [
        {"step": step, "steps": 1, "loss_generator": loss} for step, loss in enumerate([0.1, 5, 6, 1, 2, 3], start=1)
    ]
    ranks = [runs.ranking_loss(config, rows[:step], step) for step in range(1, 7)]
    assert ranks == [None, None, pytest.approx(11.1 / 3), None, None, pytest.approx(2)]


@pytest.mark.slow
def test_a_stop_does_not_make_its_checkpoint_the_best(train_tiny):
    """At step 1 the loss is that of one batch, and low."""
    assert train_tiny("--out", "run", "--keep", "best", "--stop-after", 1)[0] == 0
    assert RunStates(Path("run")).loss(1) is None and cganjax.load("run").card["steps"] == 1
    path = Path("run/metrics.jsonl")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"loss_generator": -100.0}) + "\n")
    assert train_tiny("--out", "run", "--keep", "best")[0] == 0
    states = RunStates(Path("run"))
    losses = [row["steps"] * row["loss_generator"] for row in metrics_lines.read(path.parent) if row["step"] <= 3]
    assert states.loss(3) == pytest.approx(sum(losses) / 3), "of the whole interval, across the stop"
    assert states.best() in (3, 6) and 1 not in states.steps()


# --- old checkpoints --------------------------------------------------------------------------------------------------


@pytest.fixture
def old_run(tmp_path):
    """A run of a version without digests, see tests/test_golden.py."""
    with zipfile.ZipFile(ROOT / "tests/old_run.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path / "old_run"


def test_an_old_checkpoint_is_read_without_digests(old_run):
    states = RunStates(old_run)
    assert states.steps() == [3] and states.digests(3) is None and states.best() == 3
    assert run_states.newest_sound(old_run) == (3, [])
    assert sampling.load(old_run).card["steps"] == 3
    (old_run / "checkpoints/3/default/manifest.ocdbt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="checkpoints/3 is damaged"):
        RunStates(old_run).restore(None)


# --- commands and functions that read a run ---------------------------------------------------------------------------


@fallback
def test_training_goes_on_from_the_newest_sound_checkpoint_to_the_same_bits(train_tiny, tiny_run):
    shutil.copytree(tiny_run, "run")
    wanted = RunStates(Path("run")).digests(6)
    lines = Path("run/metrics.jsonl").read_text()
    flip(largest(Path("run/checkpoints/6/state")))
    code, out, err = train_tiny("--out", "run")
    assert code == 0 and "from step 3 to 6" in out and "nothing to do" not in out
    assert err.count("\n") == 1 and err.startswith("warning: run/checkpoints/6 is damaged: ")
    assert "; run/checkpoints/3 is used instead" in err
    assert RunStates(Path("run")).digests(6) == wanted and run_states.newest_sound(Path("run")) == (6, [])
    times = ("seconds", "images_per_s")
    assert [without(row, times) for row in map(json.loads, Path("run/metrics.jsonl").read_text().splitlines())] == [
        without(row, times) for row in map(json.loads, lines.splitlines())
    ]
    code, out, err = train_tiny("--out", "run")
    assert (code, err) == (0, "") and "already at step 6 of 6: nothing to do" in out


def without(row, names):
    return {name: value for name, value in row.items() if name not in names}


def test_an_empty_checkpoint_folder_is_not_where_a_run_has_come_to(tiny, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    shutil.rmtree(run / "checkpoints/6")
    (run / "checkpoints/6").mkdir()
    with pytest.warns(DamagedCheckpoint, match="run/checkpoints/6 is damaged: it holds no record/.*; .*/3 is used"):
        assert runs.Run(run, tiny[0]).done == 3


def test_without_a_sound_checkpoint_a_run_says_what_to_do(tiny, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    for step in (3, 6):
        flip(largest(run / f"checkpoints/{step}/state"))
    with pytest.raises(CheckpointError, match=r"; none is left: train anew with overwrite=True \(--overwrite\)$"):
        runs.Run(run, tiny[0])
    assert runs.Run(run, tiny[0], overwrite=True).done == 0


@fallback
def test_sampling_warns_of_a_damaged_newest_checkpoint_and_refuses_a_named_one(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    flip(largest(run / "checkpoints/6/state"))
    with pytest.warns(DamagedCheckpoint, match="run/checkpoints/6 is damaged: .*; .*run/checkpoints/3 is used instead"):
        generator = cganjax.load(run)
    assert generator.card["steps"] == 3
    jax.tree.map(np.testing.assert_array_equal, generator.weights, cganjax.load(run / "checkpoints/3").weights)
    with pytest.raises(CheckpointError, match="run/checkpoints/6 is damaged"):
        cganjax.load(run / "checkpoints/6")
    (run / "checkpoints/3/record/metadata").unlink()
    with pytest.raises(CheckpointError, match="none is left"):
        cganjax.load_discriminator(run)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(tiny_run, tmp_path, bad):
    def spoil(weights):
        kernel = np.asarray(weights.params["Dense_0"]["kernel"]).copy()
        kernel[0, 0] = bad
        return weights._replace(params=weights.params | {"Dense_0": weights.params["Dense_0"] | {"kernel": kernel}})

    run = shutil.copytree(tiny_run, tmp_path / "run")
    card, parts = sampling.read_run(run)
    ckpt.write_shipped(
        tmp_path / "shipped", card | {"name": "shipped"}, parts | {"generator": spoil(parts["generator"])}
    )
    states = RunStates(run)
    flat = states.restore(None, 6)
    flat["generator_ema/Dense_0/kernel"][0, 0] = bad
    states = RunStates(run, keep=2, after=3)
    states.save(6, nested(flat), loss=None)
    states.close()
    for where in (tmp_path / "shipped", run):
        with pytest.raises(CheckpointError, match=f"{where} holds weights that are not finite"):
            cganjax.load(where)


def nested(flat):
    tree = {}
    for path, array in flat.items():
        *outer, name = path.split("/")
        node = tree
        for key in outer:
            node = node.setdefault(key, {})
        node[name] = array
    return tree


@pytest.mark.slow
def test_a_failed_read_says_nothing_but_our_sentence(tiny_run, tmp_path, cache_dir):
    """TensorStore's other reads report to an event loop that is gone; asyncio complains of what nobody awaited."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "checkpoints/6/state/manifest.ocdbt").write_bytes(b"")
    line = [sys.executable, "-m", "cganjax", "sample", "3", "--checkpoint", str(run), "--out", str(tmp_path / "x.png")]
    for _ in range(3):
        done = subprocess.run(
            [*line, "--overwrite"],
            cwd=ROOT,
            env=os.environ | {"CGANJAX_CACHE_DIR": cache_dir},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and done.stderr.count("\n") == 1
        assert done.stderr.startswith("warning: ") and "checkpoints/3 is used instead" in done.stderr


@pytest.mark.slow
@pytest.mark.long
def test_damage_to_a_real_checkpoint_is_never_silent(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    found = [outcome for _, _, outcome in damage.damage(run, 6, flips=10, seed=1)]
    assert found.count(damage.SILENT) == 0 and found.count(damage.NOTICED) > 50


SAVE_ON_FOUR = """
import sys, jax, jax.numpy as jnp, pathlib
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from cganjax.run_states import RunStates

mesh = Mesh(jax.devices(), ("batch",))
assert len(jax.devices()) == 4
places = {"copied": NamedSharding(mesh, PartitionSpec()), "spread": NamedSharding(mesh, PartitionSpec("batch"))}
state = {name: jax.device_put(jnp.arange(8.0), place) for name, place in places.items()}
states = RunStates(pathlib.Path(sys.argv[1]), keep=1)
states.save(1, state, 0.5)
assert all(array.sharding == places[name] for name, array in states.restore(state).items())
states.close()
"""


@pytest.mark.slow
def test_a_checkpoint_of_four_devices_is_read_on_one_and_on_four(tmp_path):
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    line = [sys.executable, "-c", SAVE_ON_FOUR, str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wanted = {name: jnp.arange(8.0) for name in ("copied", "spread")}
    assert len(jax.devices()) == 1 and same(RunStates(tmp_path).restore(wanted), wanted)
