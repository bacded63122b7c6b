"""A run folder is never mixed, never locked out, and nothing in it is lost: the lock, damage, interruptions, stops."""

import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cganjax
from cganjax import data, digests, files, metrics_lines, run_folder
from cganjax.run_lock import RunLock
from cganjax.training import config as cfg
from cganjax.training import loop, runs
from cganjax.training.metrics_log import MetricsLog
from cganjax.training.progress import Progress
from cganjax.types import CheckpointError, RunFolderWarning, UserError
from experiments import ship

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No picture of the curves, which takes longer than the steps."""
    monkeypatch.setattr("cganjax.report.save_curves", lambda path, rows, title: path.write_bytes(b"curves"))


@pytest.fixture(scope="module")
def small():
    """A config whose training takes a second with the compilation, of 6 steps with checkpoints at 3 and 6; its data."""
    sizes = {"steps": 6, "log_every": 2, "checkpoint_every": 3, "sample_every": 3}
    config = dataclasses.replace(cganjax.recipe("pattern_1010"), **sizes)
    return config, data.load(config.dataset, config.split)


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the finished tiny run of 6 steps."""
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.fixture
def stopped(stopped_run, tmp_path):
    """A copy of the tiny run that was stopped at step 3 of 6."""
    return shutil.copytree(stopped_run, tmp_path / "stopped")


def whole(folder):
    """The bytes of all files."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rows_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same(a, b):
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))


class Calls(Progress):
    """Calls a function after one step."""

    def __init__(self, at, call):
        self.at, self.call = at, call

    def step(self, done):
        if done == self.at:
            self.call()


# --- one process per folder -------------------------------------------------------------------------------------------


def test_a_folder_in_use_is_refused_and_stays_as_it_is(small, tmp_path):
    """In one process, from another thread or from within: a notebook whose first training still runs."""
    folder, refused = tmp_path / "run", []

    def again():
        before = whole(folder)
        for options in ({}, {"overwrite": True, "seed": 1}):
            with pytest.raises(UserError) as error:
                cganjax.train(*small, out=folder, progress=False, **options)
            refused.append(str(error.value))
        assert whole(folder) == before
        assert run_folder.read_run(folder)[1]["seed"] == 0, "reading needs no lock"

    def elsewhere():
        thread = threading.Thread(target=again)
        thread.start()
        thread.join()

    cganjax.train(*small, out=folder, stop_after=3, progress=Calls(2, elsewhere))
    assert len(refused) == 2 and not (folder / run_folder.LOCK).exists()
    for said in refused:
        assert said.startswith(f"{folder} is in use by process {os.getpid()} on ") and " since 20" in said
        assert said.endswith(": wait until that run ends, or choose another folder (out=)") and "\n" not in said
    assert cganjax.train(*small, out=folder, progress=Calls(5, again)).step == 6
    assert len(refused) == 4


def test_a_dead_process_holds_nothing(small, tmp_path):
    """What it wrote into the lock's file is of no use to anybody."""
    folder = tmp_path / "run"
    folder.mkdir()
    code = (
        "import os, sys, pathlib; from cganjax.run_lock import RunLock; RunLock(pathlib.Path(sys.argv[1])); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT).returncode == 9
    assert json.loads((folder / run_folder.LOCK).read_text())["process"] != os.getpid()
    assert runs.Run(folder, small[0]).done == 0


def test_a_file_system_without_locks_is_named(small, tmp_path, monkeypatch):
    import errno
    import fcntl

    def none(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.warns(RunFolderWarning, match="is on a file system without locks: start no second training there"):
        run = runs.Run(tmp_path / "run", small[0])
    run.end()


# --- interruptions ----------------------------------------------------------------------------------------------------


class Kill(BaseException):
    """What no code catches, like the end of the process."""


def killed_at(number, monkeypatch, call):
    """Run a call, and interrupt it at its so-manieth act on the disk; whether it came that far."""
    acts, locks = iter(range(number)), []

    class Noted(RunLock):
        def __init__(self, folder):
            locks.append(self)
            super().__init__(folder)

    def interrupting(act):
        def interrupted(*arguments, **options):
            if next(acts, None) is None:
                raise Kill
            return act(*arguments, **options)

        return interrupted

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupting(os.replace))
        for name in ("mkdir", "unlink", "open"):
            patch.setattr(Path, name, interrupting(getattr(Path, name)))
        patch.setattr(shutil, "rmtree", interrupting(shutil.rmtree))
        # A killed process lets go of nothing itself; the system frees its locks, and leaves their files.
        patch.setattr(runs.Run, "end", lambda self: None)
        patch.setattr(runs, "RunLock", Noted)
        try:
            call()
        except Kill:
            for lock in locks:
                lock._lock.release()
            return True
    return False


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "overwrite"])
def test_no_interruption_of_the_start_locks_a_folder_out_or_mixes_runs(tiny, digits, stopped, monkeypatch, overwrite):
    """A start is interrupted at each act on the disk, one after the other; then every command works."""
    config, other = tiny[0], dataclasses.replace(tiny[0], seed=1)
    first = jax.jit(cganjax.trainer(config, digits.spec).init)(jax.random.key(0))
    acts = 0
    while acts < 100:
        folder = stopped.parent / f"run-{acts}"
        if overwrite:
            shutil.copytree(stopped, folder)

        left = []

        def start():
            left.append(runs.Run(folder, other, overwrite=overwrite))  # noqa: B023
            left[0].begin(first, digits, ["test"])  # noqa: B023

        killed = killed_at(acts, monkeypatch, start)
        for held in (run.metrics for run in left if run.metrics):
            held.close()
        if not killed:
            break
        acts += 1
        try:
            with runs.Run(folder, other) as run:
                assert run.done == 0, "no state of another run"
                run.begin(first, digits, ["test"])
        except UserError as error:  # the earlier run is still there
            assert overwrite and "holds a run with seed 0, and seed 1 was asked for" in str(error)
        with runs.Run(folder, other, overwrite=True) as run:
            run.begin(first, digits, ["test"])
        assert run_folder.read_run(folder)[0]["seed"] == 1
    assert 5 < acts < 100


def test_a_folder_that_an_earlier_version_left_without_a_config_is_used(small, tmp_path):
    (tmp_path / "run/samples").mkdir(parents=True)
    with runs.Run(tmp_path / "run", small[0]) as run:
        assert run.done == 0
    (tmp_path / "run/samples/mine.png").touch()
    with pytest.raises(UserError, match="holds no run"):
        runs.Run(tmp_path / "run", small[0], overwrite=True)


def test_a_refused_training_leaves_no_folder(small, tmp_path):
    config, dataset = small
    large = dataclasses.replace(config, batch_size=10**6)
    (tmp_path / "there").mkdir()
    for out in ("new/deep/run", "there"):
        with pytest.raises(UserError, match="fewer images|choose a smaller batch"):
            cganjax.train(large, out=tmp_path / out, progress=False)
    with pytest.raises(cganjax.NotFound):
        cganjax.train(dataclasses.replace(config, dataset="nowhere/"), out=tmp_path / "new/run", progress=False)
    assert [p.name for p in tmp_path.rglob("*")] == ["there"]


@pytest.mark.parametrize("at", ["state", "manifest", "the last manifest"])
def test_a_kill_around_a_save_loses_neither_grid_nor_line(small, tmp_path, monkeypatch, at):
    """Before the state: it is computed again. After it: the grid, the curves and the lines are there already."""
    whole_run = cganjax.train(*small, out=tmp_path / "whole", progress=False)
    folder, save = tmp_path / "run", runs.run_states.RunStates.save

    def killed(self, step, *arguments):
        arrays = None if at == "state" else save(self, step, *arguments)
        if at == "the last manifest" and step < 6:
            return arrays
        raise Kill

    with monkeypatch.context() as patch:
        patch.setattr(runs.run_states.RunStates, "save", killed)
        with pytest.raises(Kill):
            cganjax.train(*small, out=folder, progress=False)
    run = cganjax.train(*small, out=folder, progress=False)
    assert (run.begun, run.step) == ({"state": 0, "manifest": 3, "the last manifest": 6}[at], 6)
    assert run.metrics == whole_run.metrics == rows_of(folder)
    assert same(run.generator.weights, whole_run.generator.weights)
    for name in ("000000.png", "000003.png", "000006.png"):
        assert (folder / "samples" / name).read_bytes() == (tmp_path / "whole/samples" / name).read_bytes()
    manifests = [run_folder.read_run(path)[1] for path in (folder, tmp_path / "whole")]
    assert [part["steps"] for part in manifests[0]["earlier_parts"]] == [run.begun] * (run.begun < 6)
    for name in ("states", "metrics", "steps"):
        assert manifests[0][name] == manifests[1][name]
    assert list(manifests[0]["states"]) == ["3", "6"]


# --- stops between two lines ------------------------------------------------------------------------------------------


def test_a_stop_off_the_schedule_leaves_the_metrics_of_an_unbroken_run(small, tmp_path):
    """An interval of four steps that is cut has the bits of one that is not."""
    config = dataclasses.replace(small[0], log_every=4, checkpoint_every=6, sample_every=6)
    unbroken = cganjax.train(config, small[1], progress=False)
    assert [(row["step"], row["steps"]) for row in unbroken.metrics] == [(4, 4), (6, 2)]
    for stop in (1, 4, 5):
        part = cganjax.train(config, small[1], out=tmp_path / "run", stop_after=stop, progress=False)
        assert part.metrics[-1]["step"] == rows_of(tmp_path / "run")[-1]["step"] == stop
    with pytest.raises(Kill):  # the sums outlive a crash before the next checkpoint
        cganjax.train(config, small[1], out=tmp_path / "run", progress=Raises(6))
    run = cganjax.train(config, small[1], out=tmp_path / "run", progress=False)
    assert run.metrics == unbroken.metrics == rows_of(tmp_path / "run")
    assert same(run.generator.weights, unbroken.generator.weights)


class Raises(Calls):
    def __init__(self, at):
        super().__init__(at, self.kill)

    def kill(self):
        raise Kill


def test_a_stop_off_the_schedule_is_never_the_best(small, tmp_path):
    config = dataclasses.replace(small[0], keep_best=True, checkpoint_every=3, keep=1)
    best = {}
    for name, stops in (("whole", []), ("parts", [1, 5])):
        for stop in [*stops, None]:
            cganjax.train(config, small[1], out=tmp_path / name, stop_after=stop, progress=False)
        best[name] = cganjax.load(tmp_path / name).card["steps"]
    assert best["parts"] == best["whole"]


def test_the_loop_says_where_a_line_was_cut():
    """At a stop within an interval, but neither at a hook nor at the end of the whole run."""
    from test_loop import S, counting

    def cuts(until, total, start=0, carried=None):
        found, lines = [], []
        loop.run(
            counting(),
            jax.random.key(0),
            S(jnp.int32(start), jnp.float32(0)),
            iter(jnp.ones(100)),
            until=until,
            log_every=4,
            total=total,
            carried=carried,
            on_cut=found.append,
            on_log=lambda at, means: lines.append((at, means["steps"], means["loss"])),
            hooks=[loop.Hook(6, lambda at, state: None)],
        )
        return found, lines

    assert cuts(3, 10) == ([loop.Sums(3, {"loss": 3.0})], [(3, 3, 1.0)])
    assert [cuts(until, 10)[0] for until in (4, 6, 10)] == [[], [], []]
    assert cuts(3, 3)[0] == [] and cuts(3, None)[0] == []
    assert cuts(10, 10, 3, loop.Sums(3, {"loss": 3.0}))[1] == cuts(10, 10)[1]


# --- damaged metrics --------------------------------------------------------------------------------------------------

LINES = [{"step": n, "steps": 1, "loss": n / 7} for n in range(1, 9)]
DAMAGED = [b"\xff\xfe", b"5", b"null", b"[1]", b'{"a":1}', b'{"step":"x"}', b"[" * 100_000, b'{"step": 4, "lo', b""]


def write_lines(path):
    """Eight lines, and the seals of the steps 4, 6 and 8."""
    log = MetricsLog(path, 0, {})
    for row in LINES:
        log.write(row["step"], {k: v for k, v in row.items() if k != "step"})
        if row["step"] in (4, 6, 8):
            log.seal(row["step"])
    log.close()
    return log.seals


@pytest.mark.parametrize("bad", DAMAGED, ids=lambda bad: repr(bad[:12]))
@pytest.mark.parametrize("old", [False, True], ids=["sealed", "old"])
def test_a_damaged_line_deletes_no_other_one(tmp_path, bad, old):
    path = tmp_path / "metrics.jsonl"
    seals = {} if old else write_lines(path)
    lines = path.read_bytes().split(b"\n") if not old else [json.dumps(row).encode() for row in LINES] + [b""]
    path.write_bytes(b"\n".join([*lines[:2], bad, *lines[3:]]))
    damaged = path.read_bytes()
    rows = [row for _, row in metrics_lines.parse(damaged)]
    assert rows == [*LINES[:2], None, *LINES[3:]]
    said = "damaged in line 3: the run goes on with the intact lines, and metrics.jsonl.damaged-8 is the file as it was"
    with pytest.warns(RunFolderWarning, match=said) as warned:
        log = MetricsLog(path, 8, seals)
    assert log.rows == LINES[:2] + LINES[3:] and log.damage == str(warned[0].message)
    assert (tmp_path / "metrics.jsonl.damaged-8").read_bytes() == damaged
    log.write(9, {})
    log.seal(9)
    log.close()
    again = MetricsLog(path, 9, log.seals)
    again.close()
    assert again.damage is None and again.rows == [*LINES[:2], *LINES[3:], {"step": 9}], "it is said once"


def test_only_a_last_line_that_was_cut_short_goes_without_a_word(tmp_path):
    path = tmp_path / "metrics.jsonl"
    seals = write_lines(path)
    text = path.read_bytes()
    path.write_bytes(text + b'{"step": 9, "los')
    assert [row for _, row in metrics_lines.parse(path.read_bytes())] == LINES
    for step in (8, 4):
        log = MetricsLog(path, step, seals)
        log.close()
        assert log.rows == LINES[:step] and path.read_bytes() == b"".join(text.splitlines(keepends=True)[:step])
    path.write_bytes(text[:-1])
    log = MetricsLog(path, 8, seals)  # a lost end of line loses nothing
    log.close()
    assert log.rows == LINES and log.damage is None


def test_each_flipped_bit_of_the_metrics_is_noticed_and_placed(tmp_path):
    path, random = tmp_path / "metrics.jsonl", np.random.default_rng(0)
    seals = write_lines(path)
    text = path.read_bytes()
    for place in [text.index(b"0.5714"), *random.integers(0, len(text) - 1, 40)]:
        line = text[:place].count(b"\n") + 1
        flipped = bytearray(text)
        flipped[place] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        with pytest.warns(RunFolderWarning) as warned:
            MetricsLog(path, 8, dict(seals)).close()
        said = str(warned[0].message)
        first, last = (1, 4) if line <= 4 else (5, 6) if line <= 6 else (7, 8)
        assert f"in line {line}:" in said or f"one of the lines {first} to {last}," in said or "are missing" in said
        (tmp_path / "metrics.jsonl.damaged-8").unlink()


@pytest.mark.parametrize("left, said", [(5, "its end, where 3 of 8 lines are missing"), (0, "where 8 of 8 lines")])
def test_missing_lines_are_named(tmp_path, left, said):
    path = tmp_path / "metrics.jsonl"
    seals = write_lines(path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:left]))
    with pytest.warns(RunFolderWarning, match=said):
        MetricsLog(path, 8, seals).close()
    path.unlink()
    with pytest.warns(RunFolderWarning, match="where 8 of 8 lines are missing: the run goes on with the intact lines$"):
        MetricsLog(path, 8, seals).close()


def test_a_damaged_line_stops_neither_sampling_nor_training(small, tmp_path):
    folder = tmp_path / "run"
    cganjax.train(*small, out=folder, stop_after=3, progress=False)
    path = folder / "metrics.jsonl"
    path.write_bytes(b"null\n" + path.read_bytes().split(b"\n", 1)[1])
    with pytest.warns(RunFolderWarning, match="metrics.jsonl is damaged in line 1"):
        assert cganjax.load(folder).card["metrics"]["step"] == 3
    with pytest.warns(RunFolderWarning, match="goes on with the intact lines"):
        run = cganjax.train(*small, out=folder, progress=False)
    assert [row["step"] for row in run.metrics] == [3, 4, 6]
    (said,) = run_folder.read_run(folder)[1]["damage"]
    assert "metrics.jsonl is damaged in line 1" in said


# --- damaged configs and manifests ------------------------------------------------------------------------------------


def test_each_flipped_bit_of_config_and_manifest_is_noticed(run):
    """Or it changes no value, such as a space that became a tab."""
    random, values = np.random.default_rng(0), run_folder.read_run(run)
    for name in (run_folder.CONFIG, run_folder.MANIFEST):
        text = (run / name).read_bytes()
        digest = text.rindex(b'"digest"') + 3 if name == run_folder.MANIFEST else 0
        noticed = 0
        for place in [digest, *random.integers(0, len(text), 150)]:
            flipped = bytearray(text)
            flipped[place] ^= 1 << int(random.integers(8))
            (run / name).write_bytes(flipped)
            try:
                assert run_folder.read_run(run) == values
            except CheckpointError as error:
                noticed += 1
                assert f"{run / name} is damaged" in str(error)
        assert noticed > 130
        (run / name).write_bytes(text)


MANIFESTS = {
    "data: {}": {"data": {}},
    "wall_time_s: x": {"wall_time_s": "x"},
    "devices: x": {"devices": "x"},
    "steps: null": {"steps": None},
    "states: []": {"states": []},
    "metrics: {3: 4}": {"metrics": {"3": 4}},
    "restored: [1]": {"restored": [1]},
}


@pytest.mark.parametrize("change", MANIFESTS.values(), ids=MANIFESTS)
@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "old"])
def test_a_manifest_of_another_kind_is_one_sentence(stopped, tiny, digits, change, sealed):
    path = stopped / run_folder.MANIFEST
    values = json.loads(path.read_text()) | change
    del values["digest"]
    if sealed:
        values = digests.sealed(values)
    else:
        values = {k: v for k, v in values.items() if k not in ("config", "states", "metrics") or k in change}
    path.write_text(json.dumps(values))
    before = whole(stopped)
    for call in (
        lambda: cganjax.load(stopped),
        lambda: cganjax.train(tiny[0], digits, out=stopped, progress=False),
    ):
        with pytest.raises(CheckpointError, match="manifest.json is damaged") as error:
            call()
        assert "\n" not in str(error.value)
    assert whole(stopped) == before, "nothing was changed"
    assert str(error.value).endswith(": put it back from a copy, or begin anew (overwrite=True)")


@pytest.mark.parametrize("name", [run_folder.CONFIG, run_folder.MANIFEST])
@pytest.mark.parametrize("content", [b"", b"[" * 200_000, b"\xff", b"null", b"{}", None], ids=lambda c: repr(c)[:12])
def test_a_file_that_is_no_json_of_ours_is_one_sentence(stopped, tiny, digits, name, content):
    if content is None:
        (stopped / name).unlink()
    else:
        (stopped / name).write_bytes(content)
    for call in (
        lambda: cganjax.load(stopped),
        lambda: cganjax.train(tiny[0], digits, out=stopped, progress=False),
    ):
        with pytest.raises(CheckpointError, match=name.replace(".", r"\.")) as error:
            call()
        assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize("name", ["checkpoints", "samples"])
def test_a_file_in_the_place_of_a_folder_is_named_at_once(stopped, tiny, digits, name):
    shutil.rmtree(stopped / name)
    (stopped / name).write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(UserError, match=f"{name} is a file, where a run has a folder: move it away"):
            cganjax.train(tiny[0], digits, out=stopped, overwrite=overwrite, progress=False)
    assert (stopped / name).read_text() == "mine"


# --- places -----------------------------------------------------------------------------------------------------------


def test_out_is_a_path_as_the_shell_knows_it(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    run = cganjax.train(*small, out="~/run", stop_after=1, progress=False)
    assert run.folder == tmp_path / "home/run" and sorted(p.name for p in tmp_path.iterdir()) == ["home"]
    for out, said in (
        ("~nosuch/x", "out: ~nosuch/x names a home folder that does not exist"),
        ("x" * 5000, r"out: x{40}\.\.\., 5000 characters, is longer than a path may be"),
        ("a\0b", "holds a zero byte"),
        (3, "out is 3: give a path"),
    ):
        with pytest.raises(UserError, match=said) as error:
            cganjax.train(*small, out=out, progress=False)
        assert "\n" not in str(error.value) and len(str(error.value)) < 200


def test_overwriting_through_links_keeps_the_links(small, tmp_path):
    stopped = tmp_path / "stopped"
    cganjax.train(*small, out=stopped, stop_after=3, progress=False)
    shutil.move(stopped / "checkpoints", tmp_path / "large_disk")
    (stopped / "checkpoints").symlink_to(tmp_path / "large_disk")
    (tmp_path / "link").symlink_to(stopped)
    config = dataclasses.replace(small[0], seed=1)
    cganjax.train(config, small[1], out=tmp_path / "link", overwrite=True, stop_after=1, progress=False)
    assert (tmp_path / "link").is_symlink() and (stopped / "checkpoints").is_symlink()
    assert [p.name for p in (tmp_path / "large_disk").iterdir()] == ["1"]


def test_a_folder_that_cannot_be_written_is_named(small, tmp_path, monkeypatch):
    def refused(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("cganjax.run_lock.filelock.FileLock.acquire", refused)  # root may write everywhere
    with pytest.raises(UserError, match=r"run cannot be written \(Permission denied\): choose another folder"):
        runs.Run(tmp_path / "run", small[0])


def test_a_run_whose_folder_is_deleted_ends_and_makes_no_other(small, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(OSError) as error:
        cganjax.train(*small, out=folder, progress=Calls(2, lambda: shutil.rmtree(folder)))
    assert str(folder) in str(error.value) and not folder.exists()


def test_a_clock_that_is_set_back_costs_nothing(small, tmp_path, monkeypatch):
    """By a day at every look, in the second part of a run: it ends as an unbroken one does."""
    folder, unbroken = tmp_path / "run", tmp_path / "unbroken"
    cganjax.train(*small, out=unbroken, progress=False)
    cganjax.train(*small, out=folder, stop_after=3, progress=False)
    clock = itertools.count(time.time(), -86400)
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    monkeypatch.setattr(time, "time_ns", lambda: int(1e9 * next(clock)))
    cganjax.train(*small, out=folder, progress=False)
    assert rows_of(folder) == rows_of(unbroken)
    manifests = [json.loads((run / "manifest.json").read_text()) for run in (folder, unbroken)]
    assert manifests[0]["states"] == manifests[1]["states"] and manifests[0]["wall_time_s"] >= 0


# --- losses that are not finite ---------------------------------------------------------------------------------------


@pytest.fixture
def bad_batches(monkeypatch):
    """The batches at some places of the data make the loss NaN, whatever the step: (is_bad) -> places, as they come."""
    batches = data.batches

    def install(is_bad):
        places = []

        def watched(dataset, key, size, start=0):
            for place, batch in enumerate(batches(dataset, key, size, start=start), start):
                places.append(place)
                yield batch._replace(images=batch.images * jnp.nan) if is_bad(place) else batch

        monkeypatch.setattr(data, "batches", watched)
        return places

    return install


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_a_run_can_go_on_from_the_last_good_state_with_the_next_data(small, tmp_path, bad_batches, where):
    places = bad_batches(lambda place: place == 4)
    config = dataclasses.replace(small[0], log_every=1)
    out = tmp_path / "run" if where == "folder" else None
    with pytest.raises(cganjax.Diverged, match="after step 5"):
        cganjax.train(config, small[1], out=out, progress=False)
    places.clear()
    run = cganjax.train(config, small[1], out=out, on_nonfinite="restore", progress=False)
    assert [row["step"] for row in run.metrics] == [1, 2, 3, 4, 5, 6]
    assert places[-3:] == [5, 6, 7], "batch 3 and the bad one are left out"
    if where == "folder":
        _, manifest = run_folder.read_run(out)
        assert manifest["restored"] == [{"step": 5, "what": "loss_generator", "to": 3, "skipped": 2}]
        assert rows_of(out) == run.metrics
        # A run that is stopped after the return goes on with the same data.
        with pytest.raises(Kill):
            cganjax.train(config, small[1], out=tmp_path / "b", on_nonfinite="restore", progress=KillsLater(5))
        again = cganjax.train(config, small[1], out=tmp_path / "b", on_nonfinite="restore", progress=False)
        assert again.metrics == run.metrics and same(again.generator.weights, run.generator.weights)


class KillsLater(Raises):
    """At the step, but only after a return."""

    def step(self, done):
        if done == self.at and getattr(self, "back", False):
            self.kill()

    def restored(self, reason, step):
        self.back = True


def test_it_goes_back_three_times_at_most(small, tmp_path, bad_batches):
    bad_batches(lambda place: place >= 4)
    with pytest.raises(cganjax.Diverged, match="after step 4; the last good checkpoint is .*checkpoints/3"):
        cganjax.train(*small, out=tmp_path / "run", on_nonfinite="restore", progress=False)
    assert [back["skipped"] for back in run_folder.read_run(tmp_path / "run")[1]["restored"]] == [2, 1, 1]
    with pytest.raises(UserError, match="on_nonfinite is 'ignore': expected stop or restore"):
        cganjax.train(*small, on_nonfinite="ignore", progress=False)


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_disk_that_is_full_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.json'"):
        files.write_json(tmp_path / "a.json", {})
    assert whole(tmp_path) == {"a.json": b"old"}


def test_a_save_that_fails_leaves_no_half_of_it(small, tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def full(self, step, *arguments):
        (self.folder / f"{step}.orbax-checkpoint-tmp/state").mkdir(parents=True)
        raise OSError(28, "No space left on device", str(self.folder))

    with monkeypatch.context() as patch:
        patch.setattr(runs.run_states.RunStates, "save", full)
        with pytest.raises(OSError, match="No space left"):
            cganjax.train(*small, out=folder, progress=False)
    assert list((folder / "checkpoints").iterdir()) == [] and not (folder / run_folder.LOCK).exists()


def test_own_checkpoints_and_decoys_stay_out_of_the_package():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {f"/{ship.OWN}/", "/decoys/"} <= set(ignored) and str(ship.OWN) != "checkpoints"


def test_digests_and_seals_are_in_the_manifest(run, tiny):
    config, manifest = run_folder.read_run(run)
    assert list(manifest["states"]) == list(manifest["metrics"]) == ["3", "6"]
    assert [seal["lines"] for seal in manifest["metrics"].values()] == [2, 4]
    assert cfg.from_json(config) == tiny[0]
