"""Several processes on loopback: the same training, shared checkpoints, one process that writes, and common ends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import TINY_FLAGS

import cganjax
from cganjax import distributed
from cganjax.training import config as cfg
from cganjax.training import devices, runs, together
from cganjax.types import CheckpointError, UserError

LIMIT = 900  # seconds for a few steps on a busy machine


# --- in one process ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("10.0.0.1:1234", 2, None), "belong together"),
        (("10.0.0.1", 2, 0), "expected HOST:PORT"),
        (("10.0.0.1:port", 2, 0), "expected HOST:PORT"),
        (("10.0.0.1:1234", 0, 0), "--num-processes is 0: expected at least 1"),
        (("10.0.0.1:1234", 2, 2), "--process-id is 2: expected a number from 0 to 1"),
        (("10.0.0.1:1234", 2, -1), "--process-id is -1: expected a number from 0 to 1"),
    ],
)
def test_addresses_that_cannot_work_are_refused_before_anything_is_waited_for(arguments, said):
    with pytest.raises(UserError, match=said):
        distributed.join(*arguments)


def test_flags_without_distributed_are_refused(train_tiny):
    code, _, err = train_tiny("--coordinator", "127.0.0.1:1234", "--out", "run", "--steps", "1")
    assert (code, err.count("\n")) == (2, 1) and "are for --distributed" in err


def test_one_process_agrees_with_itself():
    assert distributed.first() and not distributed.several()
    assert distributed.from_first({"a": [1, None]}) == {"a": [1, None]}
    assert distributed.by_first(lambda: 3) == 3
    wishes = iter([False, True])
    ask = distributed.agreed(lambda: next(wishes))
    assert (ask(), ask()) == (False, True), "at once: there is nobody to wait for"
    with pytest.raises(ZeroDivisionError), distributed.ends_together(lambda main: 0):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("UNKNOWN: Gloo all-reduce failed: Connection closed by peer"), 1, "another process of this run"),
        (RuntimeError("NCCL operation failed: remote process exited"), 1, "another process of this run"),
        (UserError("x is 3: expected 4"), 2, "error: x is 3: expected 4"),
        (CheckpointError("run is damaged"), 2, "error: run is damaged"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (SystemExit(143), 143, ""),
        (ValueError("a bug"), 1, "ValueError: a bug"),
    ],
)
def test_an_error_ends_one_of_several_processes_at_once(error, code, said, monkeypatch, capsys):
    from cganjax import cli

    left = []
    monkeypatch.setattr(distributed, "several", lambda: True)
    monkeypatch.setattr(distributed, "_leave", left.append)
    with distributed.ends_together(cli.execute):
        raise error
    assert left == [code] and said in capsys.readouterr().err


def test_devices_are_equally_many_of_each_process(monkeypatch):
    config = cfg.override(cganjax.recipe("digits"), ["batch_size=12"])
    monkeypatch.setattr(devices.jax, "process_count", lambda: 3)
    monkeypatch.setattr(devices.jax, "device_count", lambda: 8)
    assert devices.choose(config, None, None) == 6, "the most that divide the batch"
    assert devices.choose(config, 3, None) == 3
    assert devices.wanted(config, 6, None, processes=3) == 2
    assert devices.wanted(config, None, None, processes=3) == 1
    with pytest.raises(UserError, match="devices is 4, and there are 3 processes: give devices=N, a multiple of 3"):
        devices.choose(config, 4, None)
    with pytest.raises(UserError, match="3 processes share each batch: expected a multiple of 3"):
        devices.choose(cfg.override(config, ["batch_size=8"]), None, None)


def test_processes_that_were_told_different_things_are_refused(monkeypatch, tmp_path):
    config = cganjax.recipe("digits")
    monkeypatch.setattr(distributed, "several", lambda: True)
    monkeypatch.setattr(distributed, "from_first", lambda value: value | {"seed": 7})
    with pytest.raises(UserError, match="seed is 0 in this process and 7 in process 0"):
        together.open_run(tmp_path, config)
    images = cganjax.dataset(images=np.zeros((4, 8, 8, 1), np.uint8), labels=np.arange(4))
    first = {"data": {"fingerprint": "another"}}
    monkeypatch.setattr(distributed, "from_first", lambda value: first)
    monkeypatch.setattr(distributed, "first", lambda: False)
    with pytest.raises(UserError, match="not those that process 0 has"):
        together.begin(runs.InMemory(config), None, images, ["train"], 1)


# --- two processes ----------------------------------------------------------------------------------------------------


def start(folder, *more):
    """A process that trains the tiny run."""
    line = [sys.executable, "-m", "cganjax", "train", *TINY_FLAGS, "--backend", "cpu", "--out", folder, *more]
    return subprocess.Popen(
        [*map(str, line)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"CI": "1"}
    )


def start_two(folder, *more):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ("--distributed", "--coordinator", f"127.0.0.1:{port}", "--num-processes", 2, "--process-id")
    return [start(folder, *more, *where, i) for i in range(2)]


def ended(processes):
    """Exit code, stdout and stderr of each."""
    found = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=LIMIT)
            found.append((process.returncode, out, err))
    finally:
        for process in processes:
            process.kill()
    return found


def done(*processes):
    results = ended(processes)
    assert [code for code, _, _ in results] == [0] * len(results), results
    return results


def rows(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines], np.array([[v for k, v in line.items() if k != "step"] for line in lines])


def wait_for_metrics(folder, processes):
    for _ in range(10 * LIMIT):
        if (folder / "metrics.jsonl").exists() and (folder / "metrics.jsonl").read_text().count("\n") > 1:
            return
        assert all(process.poll() is None for process in processes), ended(processes)
        time.sleep(0.1)
    raise AssertionError(ended(processes))


@pytest.fixture(scope="module")
def of_one(tmp_path_factory):
    """The metrics of the tiny run, by one process on one device."""
    folder = tmp_path_factory.mktemp("one") / "run"
    done(start(folder, "--devices", 1))
    return rows(folder)


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """The tiny run to step 3 by two processes, and what each of them said."""
    folder = tmp_path_factory.mktemp("halfway") / "run"
    return folder, done(*start_two(folder, "--stop-after", 3))


@pytest.mark.slow
def test_only_the_first_process_writes_and_speaks(halfway):
    folder, ((_, said, _), (_, nothing, _)) = halfway
    assert "as 2 devices" in said and "checkpoint:" in said
    assert [line for line in nothing.splitlines() if not line.startswith("[Gloo]")] == [], "Gloo says that it is there"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["processes"], manifest["devices"], manifest["steps"]) == (2, 2, 3)
    assert rows(folder)[0] == [2, 3], "each line once"
    assert sorted(path.name for path in (folder / "samples").iterdir()) == ["000000.png", "000003.png"]
    # The checkpoint that both wrote is read by one process on one device.
    assert cganjax.load(folder).card["steps"] == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "flags"),
    [(1, ("--devices", 1)), (1, ("--devices", 4)), (2, ()), (2, ("--devices", 4))],
    ids=["one", "one-with-4-devices", "two", "two-with-4-devices"],
)
def test_two_processes_train_as_one_and_any_number_resumes(halfway, of_one, tmp_path, processes, flags):
    folder = shutil.copytree(halfway[0], tmp_path / "run")
    done(*(start_two(folder, *flags) if processes == 2 else [start(folder, *flags)]))
    steps, values = rows(folder)
    assert steps == of_one[0]
    np.testing.assert_allclose(values, of_one[1], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_two_processes_go_on_with_a_run_of_one_if_they_are_told(of_one, tmp_path):
    folder = tmp_path / "run"
    done(start(folder, "--devices", 1, "--stop-after", 3))
    for code, _, err in ended(start_two(folder)):
        assert code in (1, 2), "the second may hear of the first's end before it has said why itself"
        assert code == 1 or "a multiple of 2" in err
    done(*start_two(folder, "--devices", 2))
    done(*start_two(folder, "--devices", 2))  # again: there is nothing to do
    np.testing.assert_allclose(rows(folder)[1], of_one[1], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_within_a_minute(tmp_path, victim):
    processes = start_two(tmp_path / "run", "--steps", 1_000_000)
    wait_for_metrics(tmp_path / "run", processes)
    processes[victim].kill()
    killed = time.monotonic()
    code, _, err = ended(processes)[1 - victim]
    assert code == 1 and time.monotonic() - killed < 60
    assert err.splitlines()[-1].startswith("error: another process of this run has ended")
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize("told", [0, 1])
def test_ctrl_c_in_one_process_ends_both_with_a_checkpoint(tmp_path, told):
    folder = tmp_path / "run"
    processes = start_two(folder, "--steps", 1_000_000)
    wait_for_metrics(folder, processes)
    processes[told].send_signal(signal.SIGINT)
    results = ended(processes)
    assert [code for code, _, _ in results] == [130, 130], results
    step = json.loads((folder / "manifest.json").read_text())["steps"]
    assert (folder / "checkpoints" / str(step)).is_dir() and f"stopped at step {step}" in results[0][1]
