"""Train a recipe on images; the same command resumes an interrupted run.

train my_images/                    a folder with one sub-folder per class: recipe auto chooses the settings
train mnist                         a data set with a recipe of its own; without DATA and --recipe it is this one
train --recipe mnist_fast my_images/ --steps 2000    a recipe of your choice, shorter
train my_images/ --dry-run          print what would be chosen, and train nothing

The run folder (--out) receives config.json, manifest.json, metrics.jsonl, curves.png, samples/STEP.png (one row per
class, always the same latents) and checkpoints/STEP. Exit codes: 0 done (also with --stop-after), 2 bad input, 130
Ctrl-C, 143 SIGTERM, 1 anything else.
"""

import argparse
import contextlib
import dataclasses
import os
import re
import shutil
import sys
import textwrap
from pathlib import Path

from cganjax import checks, cli, data, determinism, distributed, files, recipes, run_folder
from cganjax.commands import _flag_names, _own_images
from cganjax.data import sources
from cganjax.training import config as cfg
from cganjax.training import loop
from cganjax.training.progress import Begun, Shown
from cganjax.waiting import Waiting


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog=prog, description=__doc__, epilog=_keys())
    p.add_argument(
        "data",
        nargs="?",
        type=cli.name_or_path,
        metavar="DATA",
        help="what to train on, as --dataset: a name, a folder or an .npz file (default: the recipe's data set)",
    )
    p.add_argument(
        "--recipe",
        help=f"one of {', '.join(recipes.names())} (default: the one made for the data set, if any; else "
        f"{recipes.AUTO}, which chooses its settings by the images; without a data set {recipes.DEFAULT})",
    )
    cli.add_backend(p)
    cli.add_data(p)
    p.add_argument("--split", help=f"what to train on: {data.SPLITS} (default: the recipe's)")
    p.add_argument("--seed", type=int, help="every random stream derives from it (default: the recipe's, 0)")
    p.add_argument("--steps", type=int, help="length of the whole run, which the schedules refer to")
    p.add_argument("--stop-after", type=int, metavar="N", help="save and stop after step N; the same command resumes")
    _add_going_on(p)
    p.add_argument(
        "--block",
        type=int,
        metavar="N",
        help="steps in one call of the device, best a divisor of log_every (default: 1 on a CPU, where loops are slow, "
        "and 25 elsewhere)",
    )
    p.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="devices that share each batch (default: as the run began; else 1, or on a CPU, if the algorithm gains "
        "by it, one per core with 32 images or more each)",
    )
    cli.add_deterministic(p)
    p.add_argument(
        "--keep",
        metavar="N|best",
        help="checkpoints kept: the newest N (default: the recipe's); or best: also the one with the lowest loss of G "
        "or of the classifier, and samples come from it",
    )
    _add_distributed(p)
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one key of the recipe, dotted if nested; the keys are described below",
    )
    p.add_argument(
        "--on-nonfinite",
        choices=("stop", "restore"),
        default="stop",
        help="if a loss or a parameter is not finite: stop (exit code 1), or restore: go back to the last checkpoint "
        "and go on with the next data, at most three times in a run (default: stop)",
    )
    p.add_argument(
        "--out",
        type=cli.path,
        metavar="DIR",
        help="the run folder (default: runs/RECIPE-sSEED, of recipe auto runs/DATA-auto-sSEED)",
    )
    p.add_argument(
        "--evaluate",
        action=argparse.BooleanOptionalAction,
        help="after the last step of a generator, measure its samples beside real images by an extractor for these "
        "data; if there is none, train one and keep it beside them (default: only for recipe auto)",
    )
    p.add_argument("--overwrite", action="store_true", help="begin anew if the run folder already holds a run")
    p.add_argument(
        "--dry-run",
        action="store_true",
        help="print the fully resolved run, check the data if they are a folder or a file or decide the settings, and "
        "exit",
    )
    return p


def _add_going_on(p: cli.Parser) -> None:
    """How a run builds on an earlier one: on the weights of a checkpoint, or on a finished run."""
    p.add_argument(
        "--init-from",
        type=cli.name_or_path,
        metavar="CHECKPOINT",
        help="begin a new run with the weights of a checkpoint of the same image shape (a shipped name, a checkpoint "
        "folder or a run folder); the run has its networks, classes of the same name are kept, and others are new",
    )
    p.add_argument(
        "--extend-to",
        type=int,
        metavar="N",
        help="make the run in the run folder N steps long, and go on; from there on its schedules refer to N, so a "
        "learning rate that had fallen rises and falls again",
    )


def _add_distributed(p: cli.Parser) -> None:
    """`--distributed`, and what it needs where JAX does not find the processes itself."""
    p.add_argument(
        "--distributed",
        action="store_true",
        help="one of several processes that train the run together, each started with this same command; Slurm, Open "
        "MPI, TPU pods and Kubernetes are found by JAX itself, and the next three flags are for everything else",
    )
    p.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 listens; the same in every process")
    p.add_argument("--num-processes", type=int, metavar="N", help="the number of processes; the same in every process")
    p.add_argument("--process-id", type=int, metavar="I", help="which one this is, from 0; process 0 writes the files")


def _keys() -> str:
    """What the keys of `--set` mean, by algorithm, wrapped for a terminal."""
    reference = cfg.reference().splitlines()
    key_width = max(len(line.split(maxsplit=1)[0]) for line in reference if line.startswith("  "))
    indent = " " * (2 + key_width + 2)
    wrap = textwrap.TextWrapper(
        max(60, min(shutil.get_terminal_size().columns - 2, 120)),
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    lines = ["keys of --set (--dry-run shows those of a recipe, with the values and the settings of its networks):"]
    for line in reference:
        if not line.startswith("  "):
            lines += ["", line]
            continue
        key, meaning = line.split(maxsplit=1)
        lines.append(f"  {key:{key_width}}  {wrap.fill(meaning).lstrip()}")
    return "\n".join(lines)


def main(argv=None, prog: str = "cganjax train") -> int:
    """Resolve the run, train it, and say where everything is."""
    argv = sys.argv[1:] if argv is None else argv
    flags = parser(prog)
    args = flags.parse_args(argv)
    with _flag_names.said(flags):
        return _main(args, [*prog.split(), *argv])


def _main(args, command: list[str]) -> int:
    _settle(args)
    dataset = None
    if recipes.needs_data(args.recipe):  # for other recipes the training reads the images, if it has steps to take
        with Waiting("reading the data"):
            dataset = data.load(args.dataset, args.split or "train", args.data_dir, args.size)
    config, out = resolve(args, dataset)
    if args.evaluate and hasattr(config, "classifier"):
        raise cli.UserError(
            f"--evaluate measures samples, and recipe {config.recipe} trains a classifier: leave it out"
        )
    from cganjax.training import devices, session  # Flax and optax: not for --help

    if args.deterministic:
        determinism.fix()
    before = None if args.overwrite else out
    _join(args)
    of_cpu = devices.wanted(config, args.devices, before, args.num_processes or 1)
    cli.choose_backend(args.backend, cpu_devices=of_cpu)
    if args.dry_run:
        with Waiting("reading the data"):
            dataset = dataset or _read(config, args.data_dir)
        config = _as_told(args, config, before, dataset)
        session.check(config, dataset, stop_after=args.stop_after, block=args.block)
        _describe(args, config, out, devices.choose(config, args.devices, before))
        print(f"data: {config.dataset} ({config.split}), not read" if dataset is None else _said(dataset))
        _warn(dataset)
        if recipes.needs_data(config.recipe):
            print(*_own_images.chosen(config, dataset), sep="\n")
        return cli.DONE
    with cli.Stop() as stop, distributed.ends_together(cli.execute), _preparing() as preparing:
        try:
            run = session.train(
                config,
                dataset,
                out=out,
                test="test" if hasattr(config, "classifier") else None,
                data_dir=args.data_dir,
                stop_after=args.stop_after,
                init_from=args.init_from,
                extend_to=args.extend_to,
                overwrite=args.overwrite,
                devices=args.devices,
                block=args.block,
                on_nonfinite=args.on_nonfinite,
                progress=_Printed(preparing),
                should_stop=stop.wished,
                command=command,
            )
        except loop.Diverged as error:
            print(f"error: the run diverged: {error}", file=sys.stderr)
            return cli.FAILED
    if distributed.first():
        _report(args, run)
        if run.step == run.config.steps and args.evaluate:
            _evaluate(args, run, dataset, command)
    if run.step < _until(args, run.config):
        return stop.exit_code() or cli.INTERRUPTED  # the signal may have come to another process
    return cli.DONE


def _join(args) -> None:
    """Meet the other processes, if there are any. Raises UserError as `distributed.join` does."""
    where = (args.coordinator, args.num_processes, args.process_id)
    if args.distributed:
        distributed.join(*where)
    elif where != (None, None, None):
        raise cli.UserError("--coordinator, --num-processes and --process-id are for --distributed: give that too")


def _settle(args) -> None:
    """Decide the data set and the recipe where the command line leaves them open."""
    if args.data is not None and args.dataset is not None:
        raise cli.UserError(f"DATA ({args.data}) and --dataset ({args.dataset}) were given together: give one of them")
    args.dataset = args.data if args.dataset is None else args.dataset
    if args.recipe is None:
        args.recipe = recipes.DEFAULT if args.dataset is None else recipes.of_data(args.dataset)
    if args.evaluate is None:
        args.evaluate = recipes.needs_data(args.recipe)
    if recipes.needs_data(args.recipe) and args.dataset is None:
        raise cli.UserError(
            f"recipe {args.recipe} chooses its settings by the images, and none were given: give DATA, a folder with "
            "one sub-folder per class, an .npz file or the name of a data set"
        )


def resolve(args, dataset: data.Dataset | None = None) -> tuple[cfg.Config, Path]:
    """The config of the run, and its folder.

    Args:
      args: the command line; recipe and data set are settled.
      dataset: the images, for a recipe that needs them. If the run folder holds a run of that recipe and these images,
        the settings are those of that run.
    """
    chosen = recipes.load(args.recipe, dataset)
    config = _overridden(chosen, args)
    if dataset is None:
        return config, args.out or Path("runs") / f"{config.recipe}-s{config.seed}"
    from cganjax.training import runs

    name = re.sub(r"[^\w.-]+", "-", dataset.name).strip(".-") or "data"
    out = args.out or Path("runs") / f"{name}-{config.recipe}-s{config.seed}"
    before = None if args.overwrite else runs.config_before(out, args.recipe, dataset)
    return config if before is None else _overridden(before, args), out


def _overridden(config: cfg.Config, args) -> cfg.Config:
    """A config with everything that the command line says; a flag wins over `--set` of the same key."""
    given, config = config, cfg.override(config, args.set)
    names, of_images = ("seed", "steps"), ("dataset", "size", "split")
    if not recipes.needs_data(config.recipe):
        names += of_images
    elif late := [name for name in of_images if getattr(config, name) != getattr(given, name)]:
        raise cli.UserError(
            f"--set {late[0]} was given, and recipe {config.recipe} chooses its settings by images that it has read "
            f"before: give --{late[0]}"
        )
    flags = {name: getattr(args, name) for name in names}
    if args.keep == "best":
        flags["keep_best"] = True
    elif args.keep is not None:
        try:
            flags["keep"] = int(args.keep)
        except ValueError:
            raise cli.UserError(f"--keep is {checks.shown(args.keep)}: give best, or a number of checkpoints") from None
    return cfg.check(dataclasses.replace(config, **{k: v for k, v in flags.items() if v is not None}))


def _as_told(args, config: cfg.Config, folder: Path | None, dataset: data.Dataset | None) -> cfg.Config:
    """The config as --init-from and --extend-to make it, for a dry run."""
    from cganjax.training import beginning

    config = beginning.settled(config, args.init_from, folder, dataset)
    if getattr(config, "init_from", ""):
        beginning.read(config.init_from, dataset and dataset.spec)
    return config if args.extend_to is None else dataclasses.replace(config, steps=args.extend_to)


def _until(args, config: cfg.Config) -> int:
    return min(args.stop_after or config.steps, config.steps)


def _read(config: cfg.Config, data_dir: str | None) -> data.Dataset | None:
    """The images that a dry run reads: those of a folder or a file, but none that would have to be looked for."""
    if not sources.is_path(config.dataset, data_dir):
        sources.check_name(config.dataset, data_dir)
        return None
    if hasattr(config, "classifier"):
        data.load(config.dataset, "test", data_dir, config.size or None)  # which training reads too
    return data.load(config.dataset, config.split, data_dir, config.size or None)


def _said(dataset: data.Dataset) -> str:
    return f"data: {dataset.name} ({dataset.split}), {len(dataset.images)} images, from {dataset.source}"


def _warn(dataset: data.Dataset | None) -> None:
    for note in dataset.notes if dataset is not None else ():
        print(f"warning: {note}", file=sys.stderr)


def _describe(args, config: cfg.Config, out: Path, devices: int) -> None:
    """What `--dry-run` prints."""
    print(cfg.describe(config))
    where = args.data_dir or os.environ.get(data.ENVIRONMENT) or "as found"
    print(
        f"\nbackend {args.backend}, data folder {where}, run folder {out}, to step {_until(args, config)}, "
        f"each batch on {devices} device{'s' * (devices > 1)}"
    )


def _preparing() -> contextlib.AbstractContextManager:
    """Says what is under way before the first step, in one process of several."""
    what = "reading the data, and compiling the networks"
    return Waiting(what) if distributed.first() else contextlib.nullcontext()


class _Printed(Shown):
    """The progress of a run, after what it trains on and where."""

    def __init__(self, preparing: Waiting):
        super().__init__()
        self._preparing = preparing

    def begin(self, begun: Begun) -> None:
        import jax

        self._preparing.end()
        config, dataset = begun.config, begun.dataset
        print(_said(dataset))
        _warn(dataset)
        if recipes.needs_data(config.recipe):
            print(*_own_images.chosen(config, dataset), sep="\n")
        if hasattr(config, "classifier") and not config.split.startswith("train"):
            print(
                f"warning: the classifier is trained on split {config.split}, so its accuracy on test images says "
                "nothing",
                file=sys.stderr,
            )
        print(
            f"run: {begun.folder}, from step {begun.start} to {begun.until} of {config.steps}, on "
            f"{jax.devices()[0].device_kind}" + f" as {begun.devices} devices" * (begun.devices > 1)
        )
        super().begin(begun)


def _evaluate(args, run, train: data.Dataset | None, command: list[str]) -> None:
    """Measure the samples of a finished run, and say what can be done with it.

    The training has done its work, so what prevents the evaluation is a warning.
    """
    try:
        if not run.config.split.startswith("train"):
            raise cli.UserError(f"split {run.config.split} was trained on, and it has the test images to compare with")
        name, size = args.dataset or run.config.dataset, run.config.size or None
        train = train or data.load(name, run.config.split, args.data_dir, size)
        test = data.load(name, "test", args.data_dir, size)
        said = []
        for line in _own_images.evaluation(run.generator, train, test, args.data_dir):
            print(line, flush=True)
            said.append(line)
        path = run.folder / run_folder.EVALUATION
        files.write_file(path, "\n".join([*said, ""]).encode())
        print(f"written to {path}")
    except KeyboardInterrupt:
        print(f"\n{run.folder} is trained to its end; the same command goes on with its evaluation", file=sys.stderr)
        raise
    except (cli.UserError, cli.CheckpointError) as error:
        print(f"warning: the samples were not evaluated: {error}", file=sys.stderr)
    print(*_own_images.commands(run, command, args.data_dir), sep="\n")


def _report(args, run) -> None:
    """What was done, and where it is."""
    if run.step == run.begun:
        print(f"{run.folder} is already at step {run.step} of {run.config.steps}: nothing to do")
        return
    steps = run.step - run.begun
    print(f"{steps} steps in {run.seconds:.0f} s, {steps * run.config.batch_size / run.seconds:.0f} images/s")
    if not hasattr(run.config, "classifier"):
        print(f"samples: {run.folder / run_folder.SAMPLES / f'{run.step:06d}.png'}")
    print(f"curves: {run.folder / run_folder.CURVES}\ncheckpoint: {run.folder / run_folder.STATES / str(run.step)}")
    if run.step < run.config.steps:
        without = ", without --overwrite" if args.overwrite else ""
        later = ", with a later --stop-after" if run.step == args.stop_after else ""
        print(f"stopped at step {run.step} of {run.config.steps}; the same command resumes{without}{later}")


if __name__ == "__main__":
    sys.exit(cli.execute(main))
