"""The test run itself: compiled programs are kept where conftest.py says, and a damaged one breaks nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import conftest
import pytest


def test_the_cache_belongs_to_a_kind_of_cpu_below_the_cache_of_the_project(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CGANJAX_CACHE_DIR", raising=False)
    assert conftest._cache_folder().parent == tmp_path / "cganjax/tests"
    assert re.fullmatch(r"\w+-[0-9a-f]{8}-\d+-cores", conftest._cache_folder().name)
    monkeypatch.setenv("CGANJAX_CACHE_DIR", str(tmp_path / "mine"))
    assert conftest._cache_folder().parent == tmp_path / "mine/tests"
    monkeypatch.setenv("CGANJAX_CACHE_DIR", "")
    assert conftest._cache_folder() is None


def test_tests_and_the_processes_that_they_start_share_a_core_and_a_cache():
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not let a process choose its core")
    assert len(os.sched_getaffinity(0)) == 1
    code = "import os, jax; print(len(os.sched_getaffinity(0)), jax.config.jax_compilation_cache_dir)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["1", f"{os.environ.get('JAX_COMPILATION_CACHE_DIR')}\n"]


def test_a_damaged_cache_is_compiled_anew(tmp_path):
    env = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    code = "import jax; print(jax.jit(lambda x: x * 3)(7.0))"
    for content in (None, b"", b"no program"):
        for entry in tmp_path.glob("*-cache"):
            if content is not None:
                entry.write_bytes(content)
        line = [sys.executable, "-W", "error", "-W", conftest.DAMAGED_CACHE, "-c", code]
        done = subprocess.run(line, env=env, capture_output=True, text=True)
        assert done.stdout == "21.0\n", done.stderr
        assert list(Path(tmp_path).glob("*-cache"))


def test_runs_that_are_made_once_can_be_copied(tiny_run, stopped_run):
    checkpoints = [sorted(p.name for p in (run / "checkpoints").iterdir()) for run in (tiny_run, stopped_run)]
    assert checkpoints == [["3", "6"], ["3"]]


def test_detectors_are_calibrated_once(calibrated, real):
    detector = calibrated("msp", "lenet5")
    assert calibrated("msp", "lenet5") is detector
    images, _ = real("mnist", 3000, 5000)
    assert detector.rejects(images).mean() < 0.08
