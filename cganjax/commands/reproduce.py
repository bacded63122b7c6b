"""Train a run again and compare it bit for bit: metrics line by line, checkpoints by digest.

reproduce runs/digits-s0                   all steps of the run
reproduce runs/mnist-s0 --steps 200        its first 200 steps

The repetition takes the config, the seed, the number of devices and of CPU cores, and the backend of the run. What
differs in code, versions and machine is printed first, and so is what is damaged in the run folder. Other images are an
error. The first difference is named, with its likely cause. Exit codes: 0 all that was compared is the same, 1 the two
differ or the run is damaged, 2 bad input, 130 Ctrl-C, 143 SIGTERM.
"""

import sys
import tempfile
from pathlib import Path

from cganjax import cli, determinism
from cganjax.commands import _flag_names
from cganjax.waiting import Waiting


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog=prog, description=__doc__)
    p.add_argument("run", type=cli.path, metavar="RUN", help="the run folder")
    p.add_argument("--steps", type=int, metavar="N", help="repeat the first N steps (default: all of the run)")
    p.add_argument(
        "--out",
        type=cli.path,
        metavar="DIR",
        help="keep the repetition in this new folder (default: a temporary folder, removed at the end)",
    )
    p.add_argument(
        "--backend", choices=cli.BACKENDS, help="where to compute (default: the backend that the run began on)"
    )
    cli.add_data(p)
    return p


def main(argv=None, prog: str = "cganjax reproduce") -> int:
    """Say what differs in the conditions, repeat the run, and compare."""
    flags = parser(prog)
    args = flags.parse_args(argv)
    with _flag_names.said(flags):
        return _main(args)


def _main(args) -> int:
    from cganjax import reproduction
    from cganjax.training import loop

    run = reproduction.read(args.run)
    steps = reproduction.until(run, args.steps)
    if args.out is not None and args.out.exists() and (args.out.is_file() or any(args.out.iterdir())):
        raise cli.UserError(f"--out is {args.out}, which is not empty: give a new folder")
    _as_it_began(run.began, args.backend)
    with Waiting("reading the data"):
        dataset = reproduction.images(run, args.dataset, args.data_dir, args.size)
    changed = reproduction.conditions(run, dataset)
    damaged = reproduction.damage(run)
    _introduce(run, steps, changed, damaged)
    with tempfile.TemporaryDirectory(prefix="cganjax-reproduce-") as folder, cli.Stop() as stop:
        out = args.out or Path(folder) / "run"
        try:
            done = reproduction.again(run, dataset, out, steps, data_dir=args.data_dir, should_stop=stop.wished)
        except loop.Diverged as error:
            print(f"error: the repetition diverged, as the run did not: {error}", file=sys.stderr)
            return cli.FAILED
        if done < steps:
            return stop.exit_code()
        found = reproduction.compare(run, reproduction.read(out), steps, damaged)
    return _conclude(run, changed, found, damaged)


def _as_it_began(began, backend: str | None) -> None:
    """Have the threads, devices and backend that the run began with, as far as this machine allows."""
    platform = (began.get("device") or {}).get("platform", "auto")
    if began.get("deterministic"):
        determinism.fix()
    elif began.get("cores") and platform == "cpu":
        determinism.use_cores(began["cores"])
    cli.choose_backend(backend or (platform if platform in cli.BACKENDS else "auto"), began.get("devices") or 1)


def _introduce(run, steps: int, changed, damaged) -> None:
    print(f"run: {run.folder}, recipe {run.config.recipe}, seed {run.config.seed}, {run.manifest['steps']} steps")
    for change in changed:
        print(f"differs: {change}")
    if not changed:
        print("code, versions, data and machine are as they were")
    for said in damaged.said:
        print(f"damaged: {said}")
    seconds = run.manifest["wall_time_s"] * steps / run.manifest["steps"]
    print(f"repeating {steps} steps; the run took about {_duration(seconds)} for them", flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _conclude(run, changed, found, damaged) -> int:
    """Print what was compared and the result; the exit code."""
    from cganjax import reproduction

    steps = ", ".join(map(str, found.states[:6])) + ", ..." * (len(found.states) > 6)
    print(f"compared: {found.lines} lines of metrics, {len(found.states)} states" + f" (steps {steps})" * bool(steps))
    if not found.with_digests:
        print("the run records no digests of its states, so only checkpoints that both folders hold were compared")
    if found.first is None and not damaged.said:
        print(_SAME[bool(found.lines), bool(found.states)])
        return cli.DONE
    if found.first is None:
        print("what could be compared is the same, but the run is damaged, as said above")
    else:
        why = reproduction.cause(run, changed, found.first, damaged)
        print(f"first difference: {found.first}\nlikely cause: {why}")
    return cli.FAILED


_SAME = {  # by whether lines, and whether states, were compared
    (True, True): "everything is the same, bit for bit",
    (True, False): "the metrics are the same; no state was compared",
    (False, True): "the states are the same, bit for bit; no line of metrics was compared",
}


if __name__ == "__main__":
    sys.exit(cli.execute(main))
