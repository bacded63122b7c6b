"""Which classes classifiers predict for generated images: `python -m experiments.read_back label-score --by lenet5`.

10,000 samples of balanced labels: the percentage that each classifier classifies as the label asked for, over all and
by class. If the generator's own discriminator classifies, it is one of them. `std` is the standard deviation of a pixel
within its class, averaged over pixels and classes: a generator with one image per class has 0. With --data-dir the same
figures are printed for the real test images of the data set that the generator was trained on.
"""

import sys

import numpy as np

from cganjax import cli, files
from cganjax.commands._same_images import check_same_images, described, shipped_for
from cganjax.waiting import Waiting
from experiments import study

N = 10_000
BY = "lenet5"  # of digits, unless the user names another


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.read_back", description=__doc__)
    p.add_argument(
        "checkpoint",
        type=cli.name_or_path,
        metavar="CHECKPOINT",
        help="a conditional generator: a shipped name or a run",
    )
    p.add_argument(
        "--by",
        type=cli.name_or_path,
        nargs="+",
        metavar="CLASSIFIER",
        help=f"shipped names or runs of classifiers (default: a shipped one of such images; of digits {BY})",
    )
    p.add_argument("--seed", type=int, default=0, help="of the samples (default: 0)")
    p.add_argument(
        "--data-dir",
        type=cli.path,
        help="where the generator's data set lies, for the row of real images (default: no such row)",
    )
    p.add_argument("--json", type=cli.path, help="also write the figures here")
    cli.add_overwrite(p)
    cli.add_backend(p)
    return p


def figures(images, labels, classifiers) -> dict:
    """Accuracy by each classifier, over all and by class, and the spread within classes; images [N, H, W, C]."""
    from cganjax import scores
    from cganjax.evaluation.metrics import accuracy, diversity

    classes, places = np.unique(labels, return_inverse=True)
    row = {"std": float(np.mean(diversity.pixel_std(images, places, len(classes))))}
    for name, classifier in classifiers.items():
        with Waiting(f"classifying {len(images):,} images by {name}"):
            predictions = scores.predictions_of(classifier, images)
        found = accuracy.accuracy(labels, predictions, max(labels.max(), predictions.max()) + 1)
        row[name] = {"accuracy": found["accuracy"], "by_class": [found["accuracy_by_class"][k] for k in classes]}
    return row


def _by(generator) -> list[str]:
    """The classifier that is asked unless the user names one; none if the generator's own discriminator classifies."""
    shipped = shipped_for(generator.spec, "classifier")
    if BY in shipped:
        return [BY]
    if not shipped and "classifier" not in generator.card["roles"]:
        raise cli.UserError(
            f"no shipped classifier takes images of {described(generator.spec)}: give --by, a classifier of them"
        )
    return shipped[:1]


def main(argv=None) -> int:
    """Sample, classify, print."""
    args = parser().parse_args(argv)
    cli.check_seed(args.seed)
    cli.choose_backend(args.backend)
    from cganjax import rng, sampling

    generator = sampling.load(args.checkpoint)
    if generator.num_classes is None:
        raise cli.UserError(f"{args.checkpoint} takes no labels, so none can be read back: give a conditional one")
    classifiers = {name: sampling.load_classifier(name) for name in dict.fromkeys(args.by or _by(generator))}
    if "classifier" in generator.card["roles"]:
        classifiers["its own discriminator"] = sampling.load_classifier(args.checkpoint)
    check_same_images(classifiers, generator, args.checkpoint, "give a classifier of the same images (--by)")
    if args.json:
        files.new_file(args.json, args.overwrite)

    labels = np.arange(N) % generator.num_classes
    with Waiting(f"generating {N:,} images"):
        images = np.asarray(sampling.sample_from(generator, rng.root(args.seed), labels))
    name = f"{generator.card['name']}, step {generator.card['steps']}"
    rows = {name: figures(images, labels, classifiers)}
    if args.data_dir:
        real = study.real_images({args.checkpoint: generator}, args.data_dir)
        rows["real test images"] = figures(real.images, real.labels, classifiers)
    for name, row in rows.items():
        print(f"{name}: within-class pixel std {row['std']:.4f}")
        for by in classifiers:
            by_class = " ".join(f"{100 * a:.1f}" for a in row[by]["by_class"])
            print(f"  classified correctly by {by}: {100 * row[by]['accuracy']:.2f} %  (by class {by_class})")
    if args.json:
        files.write_json(args.json, {"samples": N, "seed": args.seed, "rows": rows})
        print(args.json)
    return cli.DONE


if __name__ == "__main__":
    sys.exit(cli.execute(main))
