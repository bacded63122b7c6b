"""Train a recipe: `python -m experiments.train --recipe mnist`. The same command resumes an interrupted run.

Writes into the run folder (--out): config.json, manifest.json, metrics.jsonl, curves.png, samples/STEP.png (a row a
class, the same latents each time) and checkpoints/STEP. Exit codes: 0 done (also --stop-after), 2 bad input, 130
Ctrl-C, 143 SIGTERM, 1 anything else.
"""

import dataclasses
import sys
import time
from pathlib import Path

from cganjax import cli, runs
from cganjax import config as cfg
from experiments import recipes


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.train", description=__doc__)
    p.add_argument("--recipe", default="mnist", help=f"one of {', '.join(recipes.names())} (default: mnist)")
    cli.add_backend(p)
    cli.add_data(p)
    p.add_argument("--split", choices=("train", "test", "all"), help="what to train on (default: the recipe's)")
    p.add_argument("--seed", type=int, help="every random stream derives from it (default: the recipe's, 0)")
    p.add_argument("--steps", type=int, help="length of the whole run, which the schedules refer to")
    p.add_argument("--stop-after", type=int, metavar="N", help="save and stop after step N; the same command resumes")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                   help="change one key of the recipe, dotted where nested; --dry-run shows them all")  # fmt: skip
    p.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: runs/RECIPE-sSEED)")
    p.add_argument("--overwrite", action="store_true", help="begin anew where the run folder already holds a run")
    p.add_argument("--dry-run", action="store_true", help="print the fully resolved run and exit")
    return p


def resolve(args) -> cfg.Config:
    """The recipe with everything that the command line says."""
    config = recipes.load(args.recipe)
    given = {name: getattr(args, name) for name in ("dataset", "split", "seed", "steps") if getattr(args, name) is not None}
    return cfg.override(dataclasses.replace(config, **given), args.set)


def main(argv=None) -> int:
    """Parse, build, wire the hooks, run, write the manifest."""
    args = parser().parse_args(argv)
    config = resolve(args)
    out = args.out or Path("runs") / f"{config.recipe}-s{config.seed}"
    if args.stop_after is not None and args.stop_after < 1:
        raise cli.UserError(f"--stop-after is {args.stop_after}: give a step of at least 1")
    if args.dry_run:
        print(cfg.dumps(config))
        print(f"backend {args.backend}, run folder {out}")
        return cli.DONE

    cli.choose_backend(args.backend)
    import jax

    from cganjax import data, loop, models, rng, step

    run = runs.Run(out, config, overwrite=args.overwrite)
    dataset = data.load(config.dataset, config.split, args.data_dir)
    print(f"data: {dataset.name} ({dataset.split}), {len(dataset.images)} images, from {dataset.source}")
    for note in dataset.notes:
        print(f"warning: {note}", file=sys.stderr)
    networks = models.build(config.family, config.generator, config.discriminator, dataset.num_classes)
    if dataset.images.shape[1:] != networks.image_shape:
        raise cli.UserError(f"{dataset.name} has images of {dataset.images.shape[1:]}: {config.family} makes {networks.image_shape}")
    trainer = step.gan(config, networks)
    key = rng.root(config.seed)

    state = run.begin(jax.jit(trainer.init)(key), dataset)
    done, until = int(state.step), min(args.stop_after or config.steps, config.steps)
    if done >= until:
        print(f"{out} is already at step {done} of {config.steps}: nothing to do")
        return cli.DONE
    print(f"run: {out}, from step {done} to {until} of {config.steps}, on {jax.devices()[0].device_kind}")
    preview = runs.Preview(run.folder / "samples", networks, key)
    progress = cli.Progress(done, until, config.batch_size)

    def log(at, metrics):
        run.metrics.write(at, metrics)
        progress.log(at, metrics)

    began = time.perf_counter()
    with cli.Stop() as stop:
        try:
            state = loop.run(
                jax.jit(trainer.step, donate_argnums=1), key, state,
                data.batches(dataset, rng.stream(key, "data"), config.batch_size, start=done),
                until=until, log_every=config.log_every, on_log=log, on_step=progress.step, should_stop=stop.wished,
                hooks=[loop.Hook(config.checkpoint_every, run.save), loop.Hook(config.sample_every, preview)],
            )  # fmt: skip
        except loop.Diverged as error:
            progress.close()
            kept = run.states.steps()
            print(f"error: the run diverged: {error}. The last good checkpoint is "
                  f"{run.states.folder / str(kept[-1]) if kept else 'none yet'}; try a smaller learning_rate",
                  file=sys.stderr)  # fmt: skip
            return cli.FAILED
        finally:
            seconds = time.perf_counter() - began
            progress.close()
            run.end(seconds)
    at = int(state.step)
    print(f"{at - done} steps in {seconds:.0f} s, {(at - done) * config.batch_size / seconds:.0f} images/s")
    print(f"samples: {preview.last}\ncurves: {run.folder / 'curves.png'}\ncheckpoint: {run.states.folder / str(at)}")
    if at < config.steps:
        print(f"stopped at step {at} of {config.steps}; the same command resumes"
              + (" (with a later --stop-after)" if args.stop_after and at == until else ""))  # fmt: skip
    return stop.exit_code()


if __name__ == "__main__":
    sys.exit(cli.execute(main))
