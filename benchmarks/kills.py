"""Training is killed (SIGKILL) at random moments and resumed, until it ends with the bits of an unbroken run, or not.

    python -m benchmarks.kills                        # 30 kills, some ten minutes on 2 cores
    python -m benchmarks.kills --kills 5 --seed 3

A third of the moments are anywhere in the life of the process, its imports too; a third while it trains; and a third
inside the writing of a checkpoint. A run that is done is compared and another one is begun, until all kills are spent.
What must be equal: every array of the state (parameters, moving average, both optax states, the step), metrics.jsonl
byte for byte, the sample grids, and the digests in the manifest.
"""

import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cganjax import cli, digests, run_folder, run_states

ROOT = Path(__file__).resolve().parents[1]
STEPS, EVERY = 40, 5
# A step takes milliseconds, so that most of the life of the process is the writing of files.
SETTINGS = f"""batch_size=8 steps={STEPS} log_every=4 sample_every=10 checkpoint_every={EVERY} generator.latent_size=8
    generator.embedding=4 generator.hidden=16 generator.width_7=8 generator.width_14=8
    discriminator.width_14=4 discriminator.width_7=8 discriminator.hidden=16""".split()
MOMENTS = ("at any time", "while it trains", "inside a checkpoint")
ENDS_WITHIN = 300.0  # seconds; a process that takes longer hangs


def command(run: Path, *more: str) -> list[str]:
    """The command line that trains into a folder, or resumes what is there."""
    sets = [part for setting in SETTINGS for part in ("--set", setting)]
    line = ["-m", "experiments.train", "--recipe", "digits", "--backend", "cpu", "--devices", "1", *sets]
    return [sys.executable, *line, "--out", str(run), *more]


def start(run: Path, *more: str) -> subprocess.Popen:
    """A training process."""
    return subprocess.Popen(
        command(run, *more), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ
    )


def kill(process: subprocess.Popen, run: Path, moment: str, chance: random.Random, life: float) -> bool:
    """Kill a process at a moment; False if it had ended before."""
    if moment == "at any time":
        _wait(process, life * chance.random())
    else:
        before = _written_at(run)
        _until(process, lambda: _written_at(run) > before)
        if moment == "inside a checkpoint":
            last = _newest(run) + EVERY * chance.randrange(4)
            _until(process, lambda: _newest(run) >= last)
            _until(process, lambda: _being_written(run))
            _wait(process, 0.1 * chance.random())
        else:
            _wait(process, life / 3 * chance.random())
    ended = process.poll() is not None
    if not ended:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    return not ended


def _written_at(run: Path) -> float:
    path = run / run_folder.METRICS
    return path.stat().st_mtime if path.exists() else 0.0


def _being_written(run: Path) -> bool:
    states = run / run_folder.STATES
    return states.is_dir() and any("tmp" in path.name for path in states.iterdir())


def _newest(run: Path) -> int:
    states = run / run_folder.STATES
    return max((int(p.name) for p in states.iterdir() if p.name.isdigit()), default=0) if states.is_dir() else 0


def _wait(process: subprocess.Popen, seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):  # it is killed after this, if it still runs
        process.wait(seconds)


def _until(process: subprocess.Popen, holds) -> None:
    """Wait until something holds, or the process has ended."""
    limit = time.monotonic() + ENDS_WITHIN
    while process.poll() is None and not holds():
        if time.monotonic() > limit:
            raise TimeoutError(f"process {process.pid} makes no progress")
        time.sleep(0.001)


def finish(run: Path, *more: str) -> None:
    """Resume a run to its end. Raises RuntimeError with what it said if it cannot."""
    process = start(run, *more)
    said, _ = process.communicate(timeout=ENDS_WITHIN)
    if process.returncode:
        raise RuntimeError(f"{run} cannot be resumed: {said}")


def outcome(run: Path) -> dict[str, Any]:
    """Everything in a finished run that must not depend on kills."""
    import jax

    from cganjax import models
    from cganjax.data import known
    from cganjax.training import algorithms
    from cganjax.training import config as cfg

    values, manifest = run_folder.read_run(run)
    config = cfg.from_json(values)
    networks = models.build(config, known.recorded(manifest["data"]))
    like = algorithms.build(config, networks).init(jax.random.key(0))
    states = run_states.RunStates(run)
    try:
        state = states.restore(like, config.steps)
    finally:
        states.close()
    files = {path.name: path.read_bytes() for path in [run / run_folder.METRICS, *(run / run_folder.SAMPLES).iterdir()]}
    recorded = {name: manifest[name] for name in ("steps", "states", "metrics")}
    return {**digests.of_tree(state), **files, **recorded}


def differences(run: Path, unbroken: dict[str, Any]) -> list[str]:
    """The names of what differs from the outcome of an unbroken run."""
    found = outcome(run)
    return sorted(name for name in found.keys() | unbroken.keys() if found.get(name) != unbroken.get(name))


def main(argv=None) -> int:
    """Kill, resume, compare, and print the counts."""
    parser = cli.Parser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="processes to kill (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the moments (default: 0)")
    parser.add_argument(
        "--out", type=cli.path, metavar="DIR", help="keep the runs there (default: a folder that is removed)"
    )
    args = parser.parse_args(argv)
    cli.choose_backend("cpu")
    folder = args.out or Path(tempfile.mkdtemp(prefix="cganjax-kills-"))
    try:
        bad = _survive(folder, args.kills, random.Random(args.seed))
    finally:
        if args.out is None:
            shutil.rmtree(folder, ignore_errors=True)
    return cli.FAILED if bad else cli.DONE


def _survive(folder: Path, kills: int, chance: random.Random) -> int:
    """Spend the kills; how many runs ended otherwise than the unbroken one."""
    began = time.monotonic()
    finish(folder / "unbroken")
    life, unbroken = time.monotonic() - began, outcome(folder / "unbroken")
    arrays = sum(isinstance(value, str) for value in unbroken.values())
    print(f"unbroken run of {STEPS} steps: {life:.1f} s, {arrays} arrays", flush=True)
    counts, runs, bad, spent = collections.Counter(), 0, 0, 0
    while spent < kills:
        run, here = folder / f"run-{runs}", 0
        while spent < kills:
            moment = MOMENTS[spent % len(MOMENTS)]
            if not kill(start(run), run, moment, chance, life):
                break  # it was faster: it may be done
            written, spent, here = _being_written(run), spent + 1, here + 1
            counts[moment] += 1
            counts["left a checkpoint half-written"] += written
            print(f"kill {spent}: {moment}, states {_kept(run)}" + ", one half-written" * written, flush=True)
        finish(run)
        found = differences(run, unbroken)
        print(f"run {runs} after {here} kills: " + (f"DIFFERS in {', '.join(found)}" if found else "equal"), flush=True)
        runs, bad = runs + 1, bad + bool(found)
    parts = ", ".join(f"{n} {what}" for what, n in counts.items())
    print(f"{spent} kills ({parts}) in {runs} runs: {runs - bad} of {runs} runs equal the unbroken one bit for bit")
    return bad


def _kept(run: Path) -> str:
    states = run / run_folder.STATES
    return ", ".join(sorted((p.name for p in states.iterdir() if p.name.isdigit()), key=int)) if states.is_dir() else ""


if __name__ == "__main__":
    sys.exit(cli.execute(main))
