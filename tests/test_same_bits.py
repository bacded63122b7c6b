"""Same bits: what a run records of its conditions, what a changed condition says, and what `--deterministic` fixes."""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import TINY_FLAGS
from packaging.requirements import Requirement

import cganjax
from cganjax import determinism, parallel, rng, run_folder
from cganjax.training import manifest
from cganjax.types import BitsWarning, UserError

RECORD = {
    "versions": {"cganjax": "0.1.0", "jax": "0.10.2", "jaxlib": "0.10.2", "flax": "0.12.8", "optax": "0.2.8"},
    "device": {"platform": "cpu", "kind": "cpu", "count": 1},
    "devices": 1,
    "processor": "x86_64-0",
    "cores": 2,
    "threads": 2,
    "deterministic": False,
    "block": 1,
    "xla_flags": "",
    "jax_threefry_partitionable": True,
}
GPU = {"platform": "gpu", "kind": "H100", "count": 1}


# --- what is recorded, and what is said of a change -------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, said",
    [
        ({"cores": 1, "threads": 1}, "CPU threads for each device: 2 then, 1 now"),
        ({"devices": 8, "threads": 2}, "devices that share a batch: 1 then, 8 now"),
        ({"devices": 2, "threads": 1}, "devices that share a batch: 1 then, 2 now"),
        ({"block": 25}, "steps in one call: 1 then, 25 now"),
        ({"processor": "x86_64-1"}, "kind of CPU: x86_64-0 then, x86_64-1 now"),
        ({"device": GPU}, "backend: cpu then, gpu now"),
        ({"versions": {**RECORD["versions"], "jaxlib": "0.11"}}, "version of jaxlib: 0.10.2 then, 0.11 now"),
        ({"xla_flags": "--xla_cpu_a=b"}, "XLA_FLAGS: none then, --xla_cpu_a=b now"),
        ({"jax_threefry_partitionable": False}, "jax_threefry_partitionable: True then, False now"),
    ],
)
def test_each_condition_that_decides_bits_is_compared(change, said):
    assert [str(c) for c in manifest.changes(RECORD, {**RECORD, **change})] == [said]


def test_what_changes_no_bits_is_no_change():
    assert manifest.changes(RECORD, RECORD) == []
    # One thread of a deterministic run is as good as one core; its flags are for GPUs.
    one = {**RECORD, "cores": 1, "threads": 1}
    fixed = {**RECORD, "threads": 1, "deterministic": True, "xla_flags": " ".join(determinism.GPU_FLAGS)}
    assert manifest.changes(one, fixed) == []
    assert manifest.changes({**RECORD, "versions": {"python": "3.11", "numpy": "2.4"}}, RECORD) == []
    assert manifest.changes({**RECORD, "device": GPU}, {**RECORD, "device": GPU, "cores": 64, "threads": 64}) == []
    assert manifest.changes({"steps": 3, "versions": {}}, RECORD) == [], "a run of an older version records less"


def test_a_run_that_goes_on_with_other_threads_says_so_and_records_it(stopped_run, train_tiny, tmp_path, monkeypatch):
    shutil.copytree(stopped_run, tmp_path / "run")
    before = json.loads((tmp_path / "run/manifest.json").read_text())
    assert before["cores"] == parallel.cores() and before["threads"] >= 1 and before["deterministic"] is False
    monkeypatch.setattr(determinism, "threads", lambda devices=1: 64)
    code, _, err = train_tiny("--out", "run")
    assert code == 0 and err == (
        f"warning: CPU threads for each device: this run stopped at step 3 with {before['threads']} and goes on with "
        "64, so its last bits can differ from those of an uninterrupted run. To avoid that, give the process "
        f"{before['cores']} CPU core{'s' * (before['cores'] > 1)}, as `taskset` does (docs/how-to/determinism.md)\n"
    )
    after = json.loads((tmp_path / "run/manifest.json").read_text())
    assert after["threads"] == 64 and after["earlier_parts"][0]["threads"] == before["threads"]
    assert after["earlier_parts"][0]["devices"] == 1 and after["earlier_parts"][0]["steps"] == 3


def test_python_warns_of_another_number_of_devices(tiny, digits, tmp_path, monkeypatch):
    config, _ = tiny
    cganjax.train(config, digits, out=tmp_path, stop_after=3, devices=1, progress=False)
    changed, after = manifest.changes, {"devices": 1}
    monkeypatch.setattr(manifest, "changes", lambda before, now: changed({**before, "devices": 8}, now))
    with pytest.warns(
        BitsWarning, match="devices that share a batch: this run stopped at step 3 with 8 and goes on with 1"
    ) as said:
        cganjax.train(config, digits, out=tmp_path, devices=1, progress=False)
    assert len(said) == 1 and said[0].filename == __file__ and "give devices=8" in str(said[0].message)
    assert json.loads((tmp_path / run_folder.MANIFEST).read_text())["devices"] == after["devices"]


def test_a_run_that_was_stopped_before_its_first_checkpoint_goes_on_with_nothing():
    now = {**RECORD, "threads": 1}
    assert manifest.resumed_otherwise({**now, "earlier_parts": [{**RECORD, "steps": 0}]}) == []
    (said,) = manifest.resumed_otherwise({**now, "earlier_parts": [{**RECORD, "steps": 5}]})
    assert "this run stopped at step 5 with 2 and goes on with 1" in said


# --- deterministic ----------------------------------------------------------------------------------------------------

# Runs in a process of its own, on the given cores: XLA reads their number when it starts.
_ON_CORES = """
import os, sys
os.sched_setaffinity(0, eval(sys.argv[1]))
from cganjax import __main__, cli
sys.exit(cli.execute(__main__.main, sys.argv[2:]))
"""
ALL_CORES = range(os.cpu_count() or 1)
several_cores = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(ALL_CORES) < 2, reason="this machine lets no process choose among cores"
)


def start(cores, out, cache_dir, *arguments):
    """Begin training into a folder on some cores."""
    line = [sys.executable, "-c", _ON_CORES, str({*cores}), "train", "--backend", "cpu", *arguments, "--out", out]
    root = Path(__file__).resolve().parents[1]
    env = os.environ | {"PYTHONPATH": str(root), "JAX_COMPILATION_CACHE_DIR": cache_dir}
    return subprocess.Popen([*map(str, line)], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def bits(process, out):
    """What a run computed, once it has ended: a digest of each array of its newest weights, and its metrics."""
    said, _ = process.communicate()
    assert process.returncode == 0, said
    from cganjax import digests, sampling

    _, weights = sampling.read_run(out)
    return digests.of_tree(weights) | {"metrics": hashlib.sha256((out / "metrics.jsonl").read_bytes()).hexdigest()}


@several_cores
def test_a_deterministic_run_has_the_same_bits_on_one_core_and_on_all(tmp_path, cache_dir):
    arguments = (*TINY_FLAGS, "--deterministic", "--set", "steps=3")
    folders = {tmp_path / "one": [0], tmp_path / "all": ALL_CORES}
    running = {out: start(cores, out, cache_dir, *arguments) for out, cores in folders.items()}
    one, every = (bits(process, out) for out, process in running.items())
    assert one == every
    records = [json.loads((out / "manifest.json").read_text()) for out in folders]
    assert [r["cores"] for r in records] == [1, len(ALL_CORES)]
    assert all(r["threads"] == 1 and r["deterministic"] and r["devices"] == 1 for r in records)


LABEL_SCORE = ["--recipe", "label_score", "--dataset", "digits", "--set", "steps=3", "--set", "batch_size=8"]


@pytest.mark.slow
@several_cores
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([*TINY_FLAGS, "--devices", "2"], id="two devices", marks=pytest.mark.long),
        pytest.param(
            [*LABEL_SCORE, "--set", "log_every=1"], id="a GAN of convolutions with BatchNorm", marks=pytest.mark.long
        ),
        pytest.param(["--recipe", "digits", "--set", "steps=3", "--set", "batch_size=32"], id="digits"),
    ],
)
def test_deterministic_runs_on_any_cores_and_under_load(arguments, tmp_path, cache_dir):
    """One core; all cores; all cores while other threads keep them busy."""
    found, busy = [], True

    def burn():
        while busy:
            np.linalg.svd(np.ones((300, 300)))

    for name, cores, load in (("one", [0], 0), ("all", ALL_CORES, 0), ("loaded", ALL_CORES, 2 * len(ALL_CORES))):
        busy, threads = True, [threading.Thread(target=burn) for _ in range(load)]
        for thread in threads:
            thread.start()
        try:
            out = tmp_path / name
            found.append(bits(start(cores, out, cache_dir, *arguments, "--deterministic"), out))
        finally:
            busy = False
            for thread in threads:
                thread.join()
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
@several_cores
def test_the_same_command_twice_on_all_cores(tmp_path, cache_dir):
    """Without `--deterministic` as well, two processes at once, which are each other's load."""
    running = {tmp_path / name: start(ALL_CORES, tmp_path / name, cache_dir, *TINY_FLAGS) for name in "ab"}
    first, second = (bits(process, out) for out, process in running.items())
    assert first == second


def test_deterministic_is_refused_once_jax_has_started(train_tiny, monkeypatch):
    jax.devices()
    monkeypatch.setenv("XLA_FLAGS", "")
    with pytest.raises(UserError, match="JAX has already started, with other threads"):
        determinism.fix()
    code, _, err = train_tiny("--out", "run", "--deterministic", "--dry-run")
    assert code == 2 and err.count("\n") == 1 and "JAX has already started" in err


def test_flags_that_the_user_gave_stay():
    code = "from cganjax import determinism, cli; determinism.fix(); import os; print(os.environ['XLA_FLAGS'])"
    env = os.environ | {"XLA_FLAGS": "--xla_gpu_autotune_level=2 --a=b", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "--xla_gpu_autotune_level=2 --a=b --xla_gpu_deterministic_ops=true\n"


def test_programs_of_deterministic_runs_are_kept_apart(monkeypatch, tmp_path):
    from cganjax import cli

    before = {name: getattr(jax.config, name) for name in ("jax_compilation_cache_dir",)}
    waits = jax.config.jax_persistent_cache_min_compile_time_secs
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("CGANJAX_CACHE_DIR", str(tmp_path))
    try:
        folders = []
        for fixed in (False, True):
            monkeypatch.setattr(determinism, "fixed", lambda fixed=fixed: fixed)
            cli.use_compilation_cache()
            folders.append(Path(jax.config.jax_compilation_cache_dir).name)
    finally:
        jax.config.update("jax_compilation_cache_dir", before["jax_compilation_cache_dir"])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", waits)
    assert folders == [f"{parallel.cores()}-cores", f"deterministic-{parallel.cores()}-cores"]


def test_a_deterministic_run_has_one_device_unless_told_otherwise(monkeypatch):
    from cganjax.training import devices

    config = dataclasses.replace(cganjax.recipe("mnist"), batch_size=64)
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    assert devices.wanted(config, None, None) == 2
    monkeypatch.setattr(determinism, "fixed", lambda: True)
    assert devices.wanted(config, None, None) == 1 and devices.wanted(config, 2, None) == 2


# --- random values ----------------------------------------------------------------------------------------------------


def test_previews_checkpoints_and_log_lines_change_no_value(tiny, digits, tmp_path):
    """What a run shows on its way takes nothing from the streams that train it."""
    config, _ = tiny
    often = dataclasses.replace(config, sample_every=1, checkpoint_every=1, log_every=1)
    runs = [
        cganjax.train(c, digits, out=tmp_path / name, progress=False)
        for name, c in (("rarely", config), ("often", often))
    ]
    first, second = ([np.asarray(x) for x in jax.tree.leaves(run.generator.weights)] for run in runs)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_commands_before_take_nothing_from_those_after(command):
    from experiments import sample

    assert command(sample, "31", "--out", "a.npz")[0] == 0
    assert command(sample, "--random", "3", "--seed", "5", "--out", "other.npz")[0] == 0
    assert command(sample, "31", "--out", "b.npz")[0] == 0
    with np.load("a.npz") as a, np.load("b.npz") as b:
        assert np.array_equal(a["images"], b["images"])


def test_no_two_streams_or_seeds_share_a_key():
    """Every name of a stream that the package uses, with two seeds; tests/test_rng.py looks at what is drawn."""
    root = Path(cganjax.__file__).parent
    source = "".join(path.read_text() for path in root.rglob("*.py"))
    names = set(re.findall(r'stream\([\w.()]+, "(\w+)"\)', source))
    assert {"init", "data", "z", "dropout", "augment", "preview", "labels", "decoy"} <= names
    keys = {tuple(jax.random.key_data(rng.stream(rng.root(seed), name)).tolist()) for name in names for seed in (0, 1)}
    assert len(keys) == 2 * len(names)


# --- versions ---------------------------------------------------------------------------------------------------------


def test_constraints_name_every_direct_dependency_exactly():
    root = Path(__file__).resolve().parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(r) for r in (*project["dependencies"], *extras["test"], *extras["docs"], *extras["onnx"])]
    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = dict(line.split("==") for line in lines)
    assert [*pinned] == sorted(pinned)
    for requirement in wanted:
        if requirement.name != "cganjax":
            assert pinned[requirement.name.lower()] in requirement.specifier, requirement
