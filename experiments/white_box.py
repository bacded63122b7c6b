"""How well decoys deceive the classifier that they were made against: `python -m experiments.white_box --data-dir DIR`.

The table has one row per target, method and epsilon. Counted are generated images that the target classified correctly
and its detector accepted before; for label-score, those with a highest output above 0.5, as its authors counted. The
columns hold the percentage with a confidence below 0.5, rejected, still classified as before, and both; queries and
seconds. Thresholds accept 95 % of the first 5,000 test images. The command writes --out, a CSV, after each row, and an
interrupted table goes on from its last row (if a classifier has changed since, give --overwrite).
"""

import csv
import sys

import numpy as np

from cganjax import cli, files
from cganjax.waiting import Waiting
from experiments import study

# target -> rows of (method, epsilon, settings)
ROWS = {
    "lenet5": [
        *(("pgd", e, {"steps": 40, "share": 0.07}) for e in (0.05, 0.1, 0.15, 0.2)),
        *(("fgsm", e, {}) for e in (0.1, 0.2)),
        ("latent", 0.0, {}),
        ("latent+pixel", 0.05, {}),
    ],
    "target-robust": [("pgd", e, {}) for e in (0.1, 0.2, 0.3)],
    "label-score": [
        *(("fgsm", e, {}) for e in (0.1, 0.2)),
        *(("pgd", e, {}) for e in (0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2)),
        ("coordinate", 0.2, {"keep_label": False}),  # as published
    ],
}
HELD_OUT = "onlooker"


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.white_box", description=__doc__)
    p.add_argument("--targets", nargs="+", choices=tuple(ROWS), default=list(ROWS), help="some of them (default: all)")
    p.add_argument("--n", type=int, default=1200, help="generated images (default: 1200)")
    study.add_checkpoint(p)
    study.add_table(p, "runs/white-box.csv")
    return p


def main(argv=None) -> int:
    """Calibrate, attack, tabulate."""
    args = parser().parse_args(argv)
    cli.check_seed(args.seed)
    if args.n < 10:
        raise cli.UserError(f"--n is {args.n}: give at least 10")
    cli.choose_backend(args.backend)
    from cganjax import memory, rng, sampling, scores
    from cganjax.decoys import detectors, white_box

    columns = white_box.Row._fields
    files.writable_folder(args.out.parent)
    done = [] if args.overwrite or not args.out.exists() else list(csv.DictReader(args.out.read_text().splitlines()))
    if done and tuple(done[0]) != columns:
        raise cli.UserError(f"{args.out} has other columns than this table: give another --out, or --overwrite")
    classifiers = {name: sampling.load_classifier(name) for name in (*args.targets, HELD_OUT)}
    real = study.real_images(classifiers, args.data_dir)
    generator = study.generator(args.checkpoint, real.spec)
    memory.check_images(f"--n is {args.n}", args.n, real.spec.shape)
    key, labels = rng.root(args.seed), np.arange(args.n) % real.spec.num_classes
    z = np.asarray(sampling.latents(rng.stream(key, "z"), args.n, generator.latent_size))
    clean = np.asarray(scores.in_chunks(lambda rows: generator(z[rows], labels[rows]), np.arange(args.n)))
    images = white_box.Images(generator, z, labels, clean)
    print("  ".join(f"{c:>10}" for c in columns))
    for target in args.targets:
        classifier = classifiers[target]
        confidence = detectors.fitting(classifier)[0]
        detector = detectors.calibrate(confidence, classifier, real.images[: real.calibration])
        counted = white_box.usable(classifier, images, detector)
        for setting in (white_box.Setting(*row) for row in ROWS[target]):
            row = _finished(done, target, setting, args)
            if row is None:
                with Waiting(f"{target}, {setting.method}, epsilon {setting.epsilon:g}: compiling, then attacking"):
                    found = white_box.row(
                        key, target, classifier, detector, classifiers[HELD_OUT], images, counted, setting, args.seed
                    )
                row = dict(zip(columns, map(str, found), strict=True))
                done.append(row)
                files.write_csv(args.out, columns, [row.values() for row in done])
            print("  ".join(f"{v:>10}" for v in row.values()), flush=True)
    print(args.out)
    return cli.DONE


def _finished(done, target: str, setting, args) -> dict[str, str] | None:
    """The row of an earlier run of this command, if any."""
    for row in done:
        same = (row["target"], row["method"], float(row["epsilon"])) == (target, setting.method, setting.epsilon)
        if same and (int(row["images"]), int(row["seed"])) == (args.n, args.seed):
            return row
    return None


if __name__ == "__main__":
    sys.exit(cli.execute(main))
