"""The FGSM robustness curve of classifiers: `python -m experiments.robustness lenet5 --data-dir DIR`.

Every test image is attacked at every epsilon. The images are those of --dataset, or of the data set that the first
classifier was trained on. There are two losses: cross-entropy, and a negative log-likelihood of the logits, as in
PyTorch's tutorial. With --pgd the images are also attacked by projected gradient descent, which a classifier that was
trained on FGSM does not resist by flattening its loss. The command writes into --out: curve.csv, curve.png, and for
each loss a sheet with five examples per epsilon of the first classifier, titled "original -> adversarial". Several
checkpoints (such as seeds) also give their mean.
"""

import sys
import time
from pathlib import Path

import numpy as np

from cganjax import cli, data, files, pixels, report
from cganjax.waiting import Waiting

# Accuracy at epsilon 0, .05 ... .3, in percent, of other people's classifiers.
PUBLISHED = {
    "lenet5, published": (99.04, 96.90, 90.79, 75.57, 50.29, 30.29, 15.96),
    "PyTorch's FGSM tutorial": (99.12, 96.05, 87.43, 71.11, 48.77, 27.17, 14.18),
}


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.robustness", description=__doc__)
    p.add_argument(
        "checkpoints",
        type=cli.name_or_path,
        nargs="*",
        metavar="CHECKPOINT",
        default=["lenet5"],
        help="shipped names or runs of classifiers (default: lenet5)",
    )
    p.add_argument(
        "--epsilons",
        type=float,
        nargs="+",
        metavar="E",
        help="largest changes of a pixel in [0, 1] (default: 0 .05 .1 .15 .2 .25 .3)",
    )
    p.add_argument("--pgd", type=int, metavar="STEPS", help="also attack by PGD with this many steps")
    p.add_argument("--seed", type=int, default=0, help="of PGD's starts (default: 0)")
    p.add_argument("--images", type=int, metavar="N", help="only the first N test images (default: all)")
    p.add_argument(
        "--out",
        type=cli.path,
        default=Path("runs/robustness"),
        help="a folder (default: runs/robustness)",
    )
    cli.add_overwrite(p)
    cli.add_backend(p)
    cli.add_data(p)
    return p


def main(argv=None) -> int:
    """Attack, tabulate, draw."""
    args = parser().parse_args(argv)
    _check(args)
    cli.choose_backend(args.backend)
    from cganjax.decoys import robustness

    epsilons = tuple(args.epsilons or robustness.EPSILONS)
    classifiers, dataset = _load(args)
    images, labels = pixels.rest_to_unit(dataset.images[: args.images]), dataset.labels[: args.images]
    sheets = {loss: f"examples-{loss}.png" for loss in robustness.LOSSES}
    names = ("curve.csv", "curve.png", *sheets.values())
    written = {name: files.new_file(args.out / name, args.overwrite) for name in names}

    rows, curves = _by_fgsm(classifiers, images, labels, epsilons)
    if args.pgd:
        rows |= _by_pgd(args, classifiers, images, labels, epsilons)
    if epsilons == robustness.EPSILONS and dataset.name == "mnist":
        rows |= {name: np.array(values) for name, values in PUBLISHED.items()}

    _print_table(epsilons, rows)
    header = ["classifier", *(f"{e:g}" for e in epsilons)]
    files.write_csv(written["curve.csv"], header, [[name, *values] for name, values in rows.items()], places=4)
    report.save_lines(
        written["curve.png"],
        epsilons,
        _lines(rows, classifiers),
        x="epsilon (pixels in [0, 1])",
        y="accuracy, %",
        title=f"{'FGSM and PGD' if args.pgd else 'FGSM'}, {len(images)} test images of {dataset.name}",
    )
    first = next(iter(classifiers))
    for loss_name, loss in robustness.LOSSES.items():
        path, curve = written[sheets[loss_name]], curves[loss_name, first]
        _sheet(path, classifiers[first], images, labels, epsilons, loss, curve)
    print("\n".join(map(str, written.values())))
    return cli.DONE


def _check(args) -> None:
    """UserError if a flag is out of its range."""
    for epsilon in args.epsilons or ():
        if not 0 <= epsilon <= 1:
            raise cli.UserError(f"--epsilons has {epsilon}: give sizes within 0 and 1")
    if args.images is not None and args.images < 1:
        raise cli.UserError(f"--images is {args.images}: give at least 1")
    if args.size is not None and args.dataset is None:
        raise cli.UserError(f"--size is {args.size}, and it is of the pictures of a folder: name that by --dataset")
    if args.pgd is not None and args.pgd < 1:
        raise cli.UserError(f"--pgd is {args.pgd}: give at least 1 step")
    cli.check_seed(args.seed)


def _load(args):
    """The classifiers by name, and the test images that they all take."""
    from cganjax import sampling

    classifiers = {name: sampling.load_classifier(name) for name in dict.fromkeys(args.checkpoints)}
    if args.dataset:
        dataset = data.load(args.dataset, "test", args.data_dir, args.size)
    else:
        dataset = data.of_card(next(iter(classifiers.values())).card, "test", args.data_dir)
    for name, classifier in classifiers.items():
        if classifier.scores != "logits":
            raise cli.UserError(
                f"{name} gives one {classifier.scores} per class, and both losses are of a softmax: "
                "give a classifier of logits, such as lenet5"
            )
        data.check_fits(dataset, classifier.image_shape, 1)
        if classifier.num_classes != dataset.num_classes:
            raise cli.UserError(
                f"{name} knows {classifier.num_classes} classes, {dataset.name} has "
                f"{dataset.num_classes}: give the data that it was trained for"
            )
    return classifiers, dataset


def _by_fgsm(classifiers, images, labels, epsilons):
    """Rows of accuracies in percent by title, with mean and deviation of several classifiers; curves by both names."""
    from cganjax.decoys import robustness

    rows, curves = {}, {}
    for loss_name, loss in robustness.LOSSES.items():
        for name, classifier in classifiers.items():
            began = time.perf_counter()
            with Waiting(f"{name}, {loss_name}: compiling, then attacking"):
                curves[loss_name, name] = robustness.curve(classifier, images, labels, epsilons, loss)
            rows[f"{name}, {loss_name}"] = 100 * curves[loss_name, name].accuracy
            print(
                f"{name}, {loss_name}: {len(images)} images x {len(epsilons)} epsilons in "
                f"{time.perf_counter() - began:.1f} s",
                flush=True,
            )
        if len(classifiers) > 1:
            of_seeds = np.stack([100 * curves[loss_name, name].accuracy for name in classifiers])
            rows[f"mean of {len(classifiers)}, {loss_name}"] = of_seeds.mean(axis=0)
            rows[f"std of {len(classifiers)}, {loss_name}"] = of_seeds.std(axis=0, ddof=1)
    return rows, curves


def _by_pgd(args, classifiers, images, labels, epsilons):
    """Rows of accuracies in percent by title."""
    from cganjax import rng
    from cganjax.decoys import robustness

    rows = {}
    for name, classifier in classifiers.items():
        began, key = time.perf_counter(), rng.stream(rng.root(args.seed), "pgd")
        with Waiting(f"{name}, PGD-{args.pgd}: compiling, then attacking"):
            found = robustness.pgd_accuracy(key, classifier, images, labels, epsilons, steps=args.pgd)
        rows[f"{name}, PGD-{args.pgd}"] = 100 * found
        print(f"{name}, PGD-{args.pgd}: {time.perf_counter() - began:.1f} s", flush=True)
    return rows


def _lines(rows, classifiers):
    """A colour a loss, a mean above its seeds, other people's curves dashed."""
    from cganjax.decoys import robustness

    colours = dict(zip(robustness.LOSSES, ("C0", "C1"), strict=True))
    for name, row in rows.items():
        loss = name.rpartition(", ")[2]
        if name in PUBLISHED:
            yield name, row, {"color": "0.2" if "lenet5" in name else "0.6", "linestyle": "--"}
        elif name.startswith("mean of "):
            yield name, row, {"color": colours[loss], "linewidth": 2}
        elif not name.startswith("std of "):
            several = len(classifiers) > 1  # a label that begins with an underscore is left out of the legend
            colours.setdefault(loss, "C2")
            yield "_" * several + name, row, {"color": colours[loss], "alpha": 0.35 if several else 1.0}


def _print_table(epsilons, rows) -> None:
    width = max(map(len, rows))
    print(f"{'accuracy, % at epsilon':{width}}" + "".join(f"{e:8g}" for e in epsilons))
    for name, row in rows.items():
        print(f"{name:{width}}" + "".join(f"{value:8.2f}" for value in row))


def _sheet(path: Path, classifier, images, labels, epsilons, loss, curve, columns: int = 5) -> None:
    """Five examples an epsilon: at 0 of images that are right, above it of images that the attack turned wrong."""
    from cganjax.decoys import robustness

    pictures, titles = [], []
    for e, epsilon in enumerate(epsilons):
        right = curve.clean == labels
        chosen = np.flatnonzero(right & ((curve.attacked[e] != labels) | (epsilon == 0)))[:columns]
        row = np.ones((columns, *images.shape[1:]), np.float32) * np.nan
        if len(chosen):
            attacked = robustness.fgsm(classifier, images[chosen], labels[chosen], np.float32([epsilon]), loss)
            row[: len(chosen)] = np.asarray(attacked)[0]
        pictures.append(row)
        names = classifier.spec.class_names
        answers = [f"{names[curve.clean[i]]} -> {names[curve.attacked[e][i]]}" for i in chosen]
        titles.append(answers + [""] * (columns - len(chosen)))
    report.save_sheet(path, np.stack(pictures), titles, [f"epsilon {e:g}" for e in epsilons], spec=classifier.spec)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
