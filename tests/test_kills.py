"""Real processes: some are killed and resumed, some want the same folder at once. The long form is benchmarks.kills."""

import random
import signal
import subprocess

import pytest

from benchmarks import kills

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
    first.send_signal(signal.SIGSTOP)  # it keeps its lock and cannot be done before the others have asked
    try:
        assert first.poll() is None
        for more in (["--overwrite", "--seed", "1"], []):
            refused = subprocess.run(kills.command(run, *more), cwd=kills.ROOT, capture_output=True, text=True)
            assert refused.returncode == 2 and refused.stderr.count("\n") == 1
            assert f"{run} is in use by process {first.pid} on " in refused.stderr
            assert refused.stderr.endswith("or choose another folder (--out)\n")
    finally:
        first.send_signal(signal.SIGCONT)
        first.communicate()
    assert first.returncode == 0 and kills.differences(run, unbroken[1]) == []


def test_of_two_resumptions_at_once_one_goes_on(unbroken, tmp_path):
    run = tmp_path / "run"
    kills.finish(run, "--stop-after", "5")
    both = [kills.start(run) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 2], [0, 0]), said
    if codes == [0, 2]:
        assert any("is in use by process" in text for text in said)
    else:  # the second one began when the first had ended
        assert any("nothing to do" in text for text in said)
    assert kills.differences(run, unbroken[1]) == ["000005.png"], "the grid of the stop alone is more"


@pytest.mark.parametrize("limit", [1, 40], ids="{} KiB".format)
def test_a_full_disk_costs_no_checkpoint(unbroken, tmp_path, limit):
    """No file can grow beyond a limit, which the kernel says as it does of a full disk."""
    run = tmp_path / "run"
    kills.finish(run, "--stop-after", "5")
    limited = ["bash", "-c", f"trap '' XFSZ; ulimit -f {limit}; exec \"$@\"", "bash", *kills.command(run)]
    done = subprocess.run(limited, cwd=kills.ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: ") and "cannot be written" in done.stderr
    assert not [path for path in run.rglob("*") if path.name.endswith(".part")]
    kills.finish(run)
    assert kills.differences(run, unbroken[1]) == ["000005.png"], "the grid of the stop alone is more"
