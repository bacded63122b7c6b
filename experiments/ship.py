"""Make a checkpoint of plain arrays from a run: `python -m experiments.ship runs/mnist-s0 --name mine`.

Writes my_checkpoints/NAME/: weights.npz (the generator, the discriminator if it serves as a classifier, or the
classifier), card.json, and for a generator grid.png. Every command takes this folder as a checkpoint. With --out
checkpoints it becomes one that is shipped in the wheel. With --data-dir a classifier's card has the thresholds of its
detectors: they accept 95 % of the first 5,000 test images (or of the first half of fewer) of the data set that it was
trained on, and beside each is the fraction of the others accepted.
"""

import re
import sys
from pathlib import Path

from cganjax import checkpoint as ckpt
from cganjax import cli, files

# Not checkpoints/, which is a part of the package: the next wheel would carry what is in it.
OWN = Path("my_checkpoints")


def main(argv=None) -> int:
    """Read the newest checkpoint of the run (its best, if it keeps that) and write what users need."""
    p = cli.Parser(prog="python -m experiments.ship", description=__doc__)
    p.add_argument("run", type=cli.path, help="a run folder, or one of its checkpoints")
    p.add_argument("--name", required=True, help="the name to ship it under")
    p.add_argument("--out", type=cli.path, default=OWN, help=f"the folder to put it into (default: {OWN})")
    p.add_argument(
        "--quality", type=cli.path, metavar="JSON", help="figures for the card, of experiments.evaluate --json"
    )
    p.add_argument(
        "--role",
        choices=("surrogate", "target", "onlooker", "extractor", "judge"),
        action="append",
        default=[],
        help="what a classifier serves as, besides",
    )
    p.add_argument(
        "--data-dir", type=cli.path, metavar="DIR", help="where the run's data set lies, for a classifier's thresholds"
    )
    p.add_argument("--overwrite", action="store_true", help="replace a checkpoint of that name")
    cli.add_backend(p)
    args = p.parse_args(argv)
    folder = args.out / args.name.replace("_", "-")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", folder.name) or folder.parent != args.out:
        raise cli.UserError(f"--name is {args.name!r}: give lower-case letters, digits, dots and hyphens")
    if args.quality and not args.quality.is_file():
        raise cli.UserError(f"--quality is {args.quality}, which is no file: make one by experiments.evaluate --json")
    if any((folder / name).exists() for name in (ckpt.CARD, ckpt.WEIGHTS, ckpt.GRID)) and not args.overwrite:
        raise cli.UserError(f"{folder} exists: choose another --name, or add --overwrite")
    cli.choose_backend(args.backend)
    from cganjax import sampling

    if (args.run / ckpt.CARD).exists():
        raise cli.UserError(f"{args.run} is a shipped checkpoint already: give a run folder")
    card, parts = sampling.read_run(args.run)
    if "classifier" not in card["roles"]:
        parts.pop("discriminator", None)  # of use to its own training only
    roles = [role for role in card["roles"] if role in parts or role == "classifier"]
    if args.role and "classifier" not in roles:
        raise cli.UserError(f"{args.run} is no classifier, and --role {args.role[0]} was given: leave it out")
    thresholds = {}
    if args.data_dir and "classifier" in roles:
        thresholds = {"thresholds": _thresholds(args.run, args.data_dir)}
    quality = _without_lists(files.read_json(args.quality)) if args.quality else {}
    files.writable_folder(folder)
    card = _without_place(card) | {"name": folder.name, "roles": roles + args.role, "quality": quality, **thresholds}
    ckpt.write_shipped(folder, card, parts)
    size = (folder / ckpt.WEIGHTS).stat().st_size
    grid = f", grid {_write_grid(folder)}" if "generator" in roles else ""
    print(f"{folder}: {size / 2**20:.2f} MiB of weights ({', '.join(roles)}), step {card['steps']}{grid}")
    return cli.DONE


def _without_place(card: dict) -> dict:
    """The card without the folders of this machine; the name of the data's file or folder is looked for in --data-dir.

    The fingerprint stays, so other images under that name are refused.
    """
    from cganjax.data.record import GIVEN

    place = card["data"].get("place", "")
    return card | {"data": card["data"] | {"place": place if place == GIVEN else Path(place).name}}


def _without_lists(values: dict) -> dict:
    """Figures as a card has them, without intervals, times and lists by class."""
    kept = {k: v for k, v in values.items() if not isinstance(v, list) and k not in ("intervals", "seconds")}
    return {k: _without_lists(v) if isinstance(v, dict) else v for k, v in kept.items()}


def _thresholds(run: Path, data_dir: str) -> dict:
    """For each detector that needs no more than a threshold; on the data set that the run was trained on."""
    import numpy as np

    from cganjax import sampling
    from cganjax.decoys import detectors
    from experiments import study

    classifier = sampling.load_classifier(run)
    real, found = study.real_images({str(run): classifier}, data_dir), {}
    for name in sorted(detectors.fitting(classifier)):
        if not detectors.DETECTORS[name].learns:
            detector = detectors.calibrate(name, classifier, real.images[: real.calibration])
            accepted = float(1 - np.mean(np.asarray(detector.rejects(real.images[real.calibration :]))))
            found[name] = {"threshold": detector.threshold, "accepted": accepted}
    return found


def _write_grid(folder: Path) -> Path:
    import jax
    import numpy as np

    from cganjax import report, sampling

    generator = sampling.load(folder)
    asked = {"n": 100} if generator.num_classes is None else {"labels": np.repeat(np.arange(generator.num_classes), 10)}
    images = np.asarray(sampling.sample_from(generator, jax.random.key(0), **asked))
    report.save_png(folder / ckpt.GRID, report.grid(images, 10, generator.spec))
    return folder / ckpt.GRID


if __name__ == "__main__":
    sys.exit(cli.execute(main))
