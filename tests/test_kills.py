"""Real processes: some are killed and resumed, some want the same folder at once. The long form is benchmarks.kills."""

import json
import random
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from benchmarks import kills
from cganjax import run_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A finished run, and all in it that kills must not change."""
    run = tmp_path_factory.mktemp("unbroken") / "run"
    kills.finish(run)
    return run, kills.outcome(run)


def test_a_run_that_is_killed_ends_as_an_unbroken_one(unbroken, tmp_path):
    chance, killed = random.Random(0), 0
    for moment in kills.MOMENTS:
        killed += kills.kill(kills.start(tmp_path / "run"), tmp_path / "run", moment, chance, 5.0)
    kills.finish(tmp_path / "run")
    assert killed >= 2
    assert kills.differences(tmp_path / "run", unbroken[1]) == []


def test_of_two_processes_one_trains_and_the_other_says_who_does(unbroken, tmp_path):
    run = tmp_path / "run"
    first = kills.start(run)
    kills._until(first, lambda: kills._written_at(run) > 0)
    for more in (["--overwrite", "--seed", "1"], []):
        refused = subprocess.run(kills.command(run, *more), cwd=kills.ROOT, capture_output=True, text=True)
        if first.poll() is None or refused.returncode:
            assert refused.returncode == 2 and refused.stderr.count("\n") == 1
            assert f"{run} is in use by process {first.pid} on " in refused.stderr
            assert refused.stderr.endswith("or choose another folder (--out)\n")
    first.communicate()
    assert first.returncode == 0 and kills.differences(run, unbroken[1]) == []


def test_of_two_resumptions_at_once_one_goes_on(unbroken, tmp_path):
    run = tmp_path / "run"
    kills.finish(run, "--stop-after", "7")
    both = [kills.start(run) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 2], [0, 0]), said
    if codes == [0, 2]:
        assert any("is in use by process" in text for text in said)
    else:  # the second one began when the first had ended
        assert any("nothing to do" in text for text in said)
    assert kills.differences(run, unbroken[1]) == [] or set(kills.differences(run, unbroken[1])) == {"000007.png"}


@pytest.mark.parametrize("limit", [2_000, 40_000, 300_000], ids="{:,} bytes".format)
def test_a_file_that_cannot_be_written_costs_no_checkpoint(unbroken, tmp_path, limit):
    """As on a full disk: writing fails at some size. One sentence, no half-written file, and the rest can go on."""
    run = tmp_path / "run"
    kills.finish(run, "--stop-after", "5")
    before = run_folder.read_run(run)[1]["states"]

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        kills.command(run), cwd=kills.ROOT, capture_output=True, text=True, preexec_fn=limited, timeout=300
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
    assert not [path for path in run.rglob("*") if path.name.endswith(".part")]
    assert run_folder.read_run(run)[1]["states"].items() >= before.items()
    kills.finish(run)
    assert set(kills.differences(run, unbroken[1])) <= {"000005.png"}


def test_the_first_interrupted_write_is_of_the_config():
    """What is on the disk after a kill at any time during the start is a run at step 0, see test_run_folder."""
    assert shutil and sys and json
