"""Train a recipe: `python -m experiments.train --recipe mnist`. The same command resumes an interrupted run.

Writes into the run folder (--out): config.json, manifest.json, metrics.jsonl, curves.png, samples/STEP.png (a row a
class, the same latents each time) and checkpoints/STEP. Exit codes: 0 done (also --stop-after), 2 bad input, 130
Ctrl-C, 143 SIGTERM, 1 anything else.
"""

import dataclasses
import os
import sys
import time
from pathlib import Path

import jax

from cganjax import checkpoint as ckpt
from cganjax import cli, data, models, parallel, recipes, rng
from cganjax.data import known
from cganjax.training import algorithms, loop, runs
from cganjax.training import config as cfg


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.train", description=__doc__)
    p.add_argument("--recipe", default="mnist", help=f"one of {', '.join(recipes.names())} (default: mnist)")
    cli.add_backend(p)
    cli.add_data(p)
    p.add_argument("--split", help=f"what to train on: {cfg.SPLITS} (default: the recipe's)")
    p.add_argument("--seed", type=int, help="every random stream derives from it (default: the recipe's, 0)")
    p.add_argument("--steps", type=int, help="length of the whole run, which the schedules refer to")
    p.add_argument("--stop-after", type=int, metavar="N", help="save and stop after step N; the same command resumes")
    p.add_argument(
        "--block",
        type=int,
        metavar="N",
        help="steps in one call of the device, best a divisor of "
        "log_every (default: 1 on a CPU, where loops are slow, elsewhere 25)",
    )
    p.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="devices that share each batch (default: as the run began; "
        "else 1, and on a CPU, where it helps, one a core with 32 images or more each)",
    )
    p.add_argument(
        "--keep",
        metavar="N|best",
        help="checkpoints kept: the newest N (default: the recipe's); or best: "
        "the one of the lowest loss of G or of the classifier too, and samples come from it",
    )
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one key of the recipe, dotted where nested; --dry-run shows them all",
    )
    p.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: runs/RECIPE-sSEED)")
    p.add_argument("--overwrite", action="store_true", help="begin anew where the run folder already holds a run")
    p.add_argument("--dry-run", action="store_true", help="print the fully resolved run and exit")
    return p


def resolve(args) -> cfg.Config:
    """The recipe with everything that the command line says; a flag wins over `--set` of the same key."""
    config = cfg.override(recipes.load(args.recipe), args.set)
    flags = {name: getattr(args, name) for name in ("dataset", "split", "seed", "steps")}
    if args.keep == "best":
        flags["keep_best"] = True
    elif args.keep is not None:
        if not args.keep.isdecimal():
            raise cli.UserError(f"--keep is {args.keep}: give best, or a number of checkpoints")
        flags["keep"] = int(args.keep)
    return cfg.check(dataclasses.replace(config, **{k: v for k, v in flags.items() if v is not None}))


def choose_devices(args, config: cfg.Config, out: Path) -> int:
    """Fix the backend and the number of devices that share a batch; UserError where there are not so many."""
    asked, said = args.devices, f"--devices is {args.devices}"
    if asked is None and not args.overwrite:
        asked = runs.devices_before(out)
        said = f"the run in {out} shares a batch among {asked} devices"
    if asked is not None and (asked < 1 or config.batch_size % asked):
        raise cli.UserError(f"{said}: give --devices, a divisor of the batch_size, {config.batch_size}")
    limit = parallel.cores() if config.algorithm in algorithms.SHARED else 1
    default = parallel.devices_for(config.batch_size, limit)
    cli.choose_backend(args.backend, cpu_devices=asked or default)
    there = jax.device_count()
    if asked is not None and asked > there:
        raise cli.UserError(
            f"{said}, and there are {there} here: give --devices {there}, or another divisor of the "
            "batch_size up to that; the bits will be others"
        )
    return asked or (min(default, there) if jax.default_backend() == "cpu" else 1)


def main(argv=None) -> int:
    """Parse, build, wire the hooks, run, say where everything is."""
    argv = sys.argv[1:] if argv is None else argv
    args = parser().parse_args(argv)
    config = resolve(args)
    out = args.out or Path("runs") / f"{config.recipe}-s{config.seed}"
    if args.stop_after is not None and args.stop_after < 1:
        raise cli.UserError(f"--stop-after is {args.stop_after}: give a step of at least 1")
    if args.block is not None and args.block < 1:
        raise cli.UserError(f"--block is {args.block}: give at least 1")
    until = min(args.stop_after or config.steps, config.steps)
    devices = choose_devices(args, config, out)
    # Settings are refused before any data are read, if the data set is known.
    algorithms.build(config, models.build(config, known.KNOWN.get(config.dataset, known.KNOWN["mnist"])))
    classifies = hasattr(config, "classifier")
    if args.dry_run:
        where = args.data_dir or os.environ.get(data.ENVIRONMENT) or "as found"
        print(
            f"{cfg.dumps(config)}\nbackend {args.backend}, data folder {where}, run folder {out}, to step {until}, "
            f"each batch on {devices} device{'s' * (devices > 1)}"
        )
        return cli.DONE

    run = runs.Run(out, config, overwrite=args.overwrite)
    if run.done >= until:
        print(f"{out} is already at step {run.done} of {config.steps}: nothing to do")
        return cli.DONE
    dataset = data.load(config.dataset, config.split, args.data_dir)
    print(f"data: {dataset.name} ({dataset.split}), {len(dataset.images)} images, from {dataset.source}")
    for note in dataset.notes:
        print(f"warning: {note}", file=sys.stderr)
    test = data.load(config.dataset, "test", args.data_dir) if classifies else None
    if classifies and not config.split.startswith("train"):
        print(f"warning: trained on {config.split}, so accuracy on test images says nothing", file=sys.stderr)
    networks = models.build(config, dataset.spec)
    data.check_fits(dataset, networks.image_shape, config.batch_size)
    trainer, key = algorithms.build(config, networks), rng.root(config.seed)

    command = ["python", "-m", "experiments.train", *argv]
    state = run.begin(jax.jit(trainer.init)(key), dataset, command, devices)
    begun = run.done
    print(
        f"run: {out}, from step {begun} to {until} of {config.steps}, on {jax.devices()[0].device_kind}"
        + f" as {devices} devices" * (devices > 1)
    )
    states, hooks = out / ckpt.STATES, [loop.Hook(config.checkpoint_every, run.save)]
    if classifies:
        hooks.insert(0, loop.Hook(config.epoch_steps, runs.Trial(run, networks, test)))
    else:
        preview = runs.Preview(out / ckpt.SAMPLES, networks, key)
        hooks.append(loop.Hook(config.sample_every, preview))
        if begun == 0:
            preview(0, state)
    progress = cli.Progress(begun, until, config.batch_size)

    def log(at, metrics):
        run.metrics.write(at, metrics)
        progress.log(at, metrics)

    size = args.block or (1 if jax.default_backend() == "cpu" else 25)
    spread = parallel.Spread(devices)
    block = loop.Block(size, spread.jit(loop.scanned(trainer.step), leading=1)) if size > 1 else None
    hooks = [hook._replace(call=lambda at, state, call=hook.call: call(at, spread.one(state))) for hook in hooks]
    began = time.perf_counter()
    with cli.Stop() as stop:
        try:
            state = loop.run(
                spread.jit(trainer.step),
                key,
                spread.place(state),
                data.batches(dataset, rng.stream(key, "data"), config.batch_size, start=begun),
                until=until,
                log_every=config.log_every,
                block=block,
                on_log=log,
                on_step=progress.step,
                hooks=hooks,
                should_stop=stop.wished,
            )
        except loop.Diverged as error:
            kept = f"the last good checkpoint is {states / str(run.done)}" if run.done else "no checkpoint was made yet"
            print(f"error: the run diverged: {error}; {kept}. Try a smaller learning_rate", file=sys.stderr)
            return cli.FAILED
        finally:
            seconds = time.perf_counter() - began
            progress.close()
            run.end()
    done = int(state.step)
    print(f"{done - begun} steps in {seconds:.0f} s, {(done - begun) * config.batch_size / seconds:.0f} images/s")
    if not classifies:
        print(f"samples: {preview.last}")
    print(f"curves: {out / ckpt.CURVES}\ncheckpoint: {states / str(done)}")
    if done < config.steps:
        but = [", without --overwrite"] * args.overwrite + [", with a later --stop-after"] * (done == args.stop_after)
        print(f"stopped at step {done} of {config.steps}; the same command resumes{''.join(but)}")
    return stop.exit_code() if done < until else cli.DONE


if __name__ == "__main__":
    sys.exit(cli.execute(main))
