"""How good are a generator's samples? `python -m experiments.evaluate mnist runs/mine-s0 --data-dir DIR`.

A column a checkpoint, of --n samples of balanced labels, beside real images (the best to be had), the same with
shuffled labels, and one image a class repeated (the worst). Without --data-dir all that needs no data is measured,
against the shipped features of MNIST's test images. Writes into --out a page a checkpoint: its samples nearest to
training images with these, the judge's surest and least sure ones, bars by class.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

from cganjax import cli, data, files, report
from cganjax.data import SPLIT
from experiments import reference as reference_command


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.evaluate", description=__doc__)
    p.add_argument(
        "checkpoints",
        nargs="*",
        metavar="CHECKPOINT",
        default=["mnist"],
        help="shipped names, runs or checkpoint folders of generators (default: mnist)",
    )
    p.add_argument("--n", type=int, help="samples of each (default: 10,000)")
    p.add_argument("--quick", action="store_true", help="2,000 samples where --n is not given, for a first look")
    p.add_argument("--seed", type=int, default=0, help="of samples, subsets and draws (default: 0)")
    p.add_argument("--metrics", nargs="+", metavar="NAME", help="these alone (default: all that train no classifier)")
    p.add_argument("--cas", action="store_true", help="also train a classifier on the samples and test it on real data")
    p.add_argument("--two-sample", action="store_true", help="also train a classifier to tell them from real images")
    p.add_argument(
        "--reference",
        choices=("test", "train"),
        default="test",
        help="report by test; choose between runs by train (default: test)",
    )
    p.add_argument("--extractor", default="digits-v1", help="whose features are compared (default: digits-v1)")
    p.add_argument("--judge", default="digits-judge", help="who reads the samples (default: digits-judge)")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write all figures here")
    p.add_argument("--out", type=Path, default=Path("runs/evaluate"), help="a folder for pages (runs/evaluate)")
    cli.add_overwrite(p)
    cli.add_backend(p)
    cli.add_data(p)
    return p


def main(argv=None) -> int:
    """Sample, measure, tabulate, draw."""
    args = parser().parse_args(argv)
    cli.check_seed(args.seed)
    n = args.n if args.n is not None else 2000 if args.quick else 10_000
    cli.choose_backend(args.backend)
    from cganjax import evaluation, rng, sampling

    names, asked = _metrics(args), args.metrics is not None or args.cas or args.two_sample
    generators = {name: sampling.load(name) for name in dict.fromkeys(args.checkpoints)}
    extractor, judge = sampling.load_classifier(args.extractor), sampling.load_classifier(args.judge)
    for name, generator in generators.items():
        check_comparable(name, generator, args.extractor, extractor)
    taken = [Path(name).name for name in generators]
    if len(set(taken)) < len(taken):
        raise cli.UserError(
            f"{' and '.join(generators)}: two have the same last name, and their pages would overwrite "
            "each other; evaluate them one by one"
        )
    pages = {name: files.new_file(args.out / f"{Path(name).name}.png", args.overwrite) for name in generators}
    if args.json:
        files.new_file(args.json, args.overwrite)

    began = time.perf_counter()
    reference, train = _reference(args, extractor, names)
    try:
        labelled = any(generator.num_classes is not None for generator in generators.values())
        fitting, left_out = evaluation.fitting(names, asked, labelled, reference)
        evaluation.check_enough(
            fitting, np.arange(n) % extractor.num_classes, n, extractor.num_classes, reference.features.shape[1]
        )
        evaluation.check_judge(extractor, judge)
    except ValueError as error:
        raise cli.UserError(_for_shell(str(error))) from None
    print(
        f"reference: {_said(reference.about)}; training images: {_said(reference.train and reference.train.about)}; "
        f"{time.perf_counter() - began:.1f} s"
    )
    for network, role in ((extractor, "features"), (judge, "accuracy")):
        print(f"{role} by {network.card['name']}, SHA-256 {evaluation.named(network)['sha256']}")
    for name, generator in generators.items():
        if args.reference == "train" and _has_seen(generator.card["data"], reference.about):
            print(
                f"{name} was trained on {generator.card['data']['split']}, which has images of the reference: "
                f"to choose by it, train on 'train[{reference.about['images']}:]'"
            )
    for name, why in left_out.items():
        if args.reference == "train":
            why = "compares with training images, and they are the reference"
        print(f"{name} is left out: it {_for_shell(why)}")

    columns, measured = {}, {}
    for name, generator in generators.items():
        began = time.perf_counter()
        labels = None if generator.num_classes is None else np.arange(n) % generator.num_classes
        asked_for = {"n": n} if labels is None else {"labels": labels}
        images = np.asarray(sampling.sample_from(generator, rng.root(args.seed), **asked_for))
        seconds = {"sampling": round(time.perf_counter() - began, 3)}
        mine, _ = evaluation.fitting(fitting, False, labels is not None, reference)
        found = evaluation.measure(
            images,
            labels,
            reference,
            extractor,
            judge,
            mine,
            seed=args.seed,
            on_part=lambda part, name=name: _say(f"{name}: {part}"),
        )
        measured[name] = found
        columns[name] = found.figures | {"samples": n, "intervals": found.intervals, "seconds": seconds | found.seconds}
        _say("")
        spent = columns[name]["seconds"]
        parts = ", ".join(f"{part} {s:.1f}" for part, s in spent.items())
        print(f"{name}: {sum(spent.values()):.1f} s ({parts})", flush=True)
    rows = _rows(args, reference, train, extractor, judge, n, fitting)
    taken = {figure for column in columns.values() for figure in column}
    rows = {name: {k: v for k, v in row.items() if k in taken} for name, row in rows.items()}
    _print_table(columns | rows)
    for name, path in pages.items():
        if _page(path, name, measured[name], reference, rows):
            print(path)
    if args.json:
        about = {
            "samples": n,
            "seed": args.seed,
            "extractor": evaluation.named(extractor),
            "judge": evaluation.named(judge),
            "reference": dict(reference.about),
            "train": reference.train and dict(reference.train.about),
            "left_out": left_out,
        }
        files.write_json(args.json, about | {"checkpoints": columns, "rows": rows})
        print(args.json)
    return cli.DONE


def check_comparable(name: str, generator, extractor_name: str, extractor) -> None:
    """Raise UserError where a generator's images are not such as the extractor takes, or of other classes."""
    if generator.image_shape != extractor.image_shape:
        raise cli.UserError(
            f"{name} draws images of {generator.image_shape}, {extractor_name} takes "
            f"{extractor.image_shape}: give a checkpoint of such images"
        )
    if generator.num_classes not in (None, extractor.num_classes):
        raise cli.UserError(
            f"{name} knows {generator.num_classes} classes, {extractor_name} "
            f"{extractor.num_classes}: give an --extractor of the same data"
        )


def _has_seen(trained_on, about) -> bool:
    """Whether a generator was trained on some of the first rows of train, which --reference train measures against."""
    whole, start, _ = SPLIT.fullmatch(trained_on["split"]).groups()
    return trained_on["name"] == about["name"] and whole != "test" and int(start or 0) < about["images"]


def _metrics(args) -> tuple[str, ...]:
    from cganjax import evaluation

    try:
        names = evaluation.check_names(args.metrics)
    except ValueError as error:
        raise cli.UserError(f"--metrics: {error}") from None
    return names + ("cas",) * args.cas + ("two_sample",) * args.two_sample


def _reference(args, extractor, names):
    """What to compare with, and the images that generators were trained on, where data are at hand."""
    from cganjax import checkpoint as ckpt
    from cganjax import evaluation
    from cganjax.evaluation import reference

    shipped = (
        reference.read(ckpt.find(args.extractor), extractor) if args.reference == "test" and not args.dataset else None
    )
    if not (args.data_dir or args.dataset or os.environ.get(data.ENVIRONMENT)):
        if shipped is None:
            raise cli.UserError(
                f"{args.extractor} has no shipped reference for --reference {args.reference}: "
                "say where the data lie (--data-dir DIR)"
            )
        return shipped, None
    test, train = (data.load(args.dataset or "mnist", split, args.data_dir) for split in ("test", "train"))
    for dataset in (test, train):
        data.check_fits(dataset, extractor.image_shape, 1)
        if dataset.num_classes != extractor.num_classes:
            raise cli.UserError(
                f"{dataset.name} has {dataset.num_classes} classes, {args.extractor} knows "
                f"{extractor.num_classes}: give an --extractor of the same data"
            )
    if args.reference == "train":
        # As many as there are test images, for figures of the same scale; the test images stand for unseen ones.
        rows = slice(None, len(test.images))
        test, train = train._replace(images=train.images[rows], labels=train.labels[rows]), test
    real, train = (reference.real_images(d, extractor.image_shape, "--data-dir") for d in (test, train))
    distances = "memorisation" in names
    if shipped is not None and shipped.about.get("fingerprint") == real.about["fingerprint"]:
        known = reference.with_train(extractor, shipped, train) if distances else shipped
        return known._replace(images=real.images), train
    measured = reference.of_real(extractor, real)
    if args.reference == "test" and any(evaluation.METRICS[name].train for name in names):
        measured = reference.with_train(extractor, measured, train, distances)
    return measured, train


def _rows(args, reference, train, extractor, judge, n: int, names):
    """The shipped rows where they are of as many images; what they lack is measured, where data are at hand."""
    from cganjax import evaluation

    known = evaluation.rows_for(reference, judge)
    of_n = bool(known) and all(row["samples"] == n and "accuracy" in row for row in known.values())
    lacking = [name for name in names if evaluation.METRICS[name].trains] if of_n else names
    if train is None or not lacking:
        return known
    unseen = (train.images, train.labels) if args.reference == "train" else (reference.images, reference.labels)
    found = reference_command.rows(
        reference, reference, train, unseen, extractor, judge, n, args.seed, names=lacking, on_part=_say
    )
    _say("")
    if not of_n:
        return found
    merged = {name: known[name] | found.get(name, {}) for name in known}
    for name in found:
        merged[name]["intervals"] = known[name]["intervals"] | found[name]["intervals"]
    return merged


def _for_shell(text: str) -> str:
    """What `cganjax.evaluate` says, in the words of the command."""
    for argument in ("real=", "train="):
        text = text.replace(argument, "--data-dir")
    return text.replace("metrics=", "--metrics")


def _said(about) -> str:
    if about is None:
        return "none"
    return " ".join(str(about[k]) for k in ("name", "split") if k in about) + f", {about['images']:,} images"


def _say(part: str) -> None:
    if sys.stdout.isatty():
        print(f"\r{part:70}\r", end="", flush=True)
    elif part:
        print(part, flush=True)


def _print_table(columns) -> None:
    """Figures down, checkpoints and rows of comparison across."""
    from cganjax import evaluation

    widths = {name: max(20, len(name)) for name in columns}
    print(" " * 22 + "".join(f"{name:>{w + 2}}" for name, w in widths.items()))
    counts = {name: column["samples"] for name, column in columns.items()}
    print(f"{'samples':22}" + "".join(f"{counts[name]:>{w + 2},}" for name, w in widths.items()))
    if len(set(counts.values())) > 1:
        print("columns of different numbers of samples do not compare: give --data-dir, so that all are measured alike")
    for figure in evaluation.SHORT:
        if not any(figure in column for column in columns.values()):
            continue
        line = f"{figure:22}"
        for name, column in columns.items():
            said = "" if figure not in column else f"{column[figure]:.4f}"
            low, high = column["intervals"].get(figure, (0, 0))
            line += f"{said + (f' +-{(high - low) / 2:.4f}' if high > low else ''):>{widths[name] + 2}}"
        print(line)
    for figure in ("accuracy_by_class", "frechet_by_class", "kid_by_class"):
        for name, column in columns.items():
            if figure in column:
                values = " ".join("       -" if v is None else f"{v:8.4g}" for v in column[figure])
                print(f"{figure:16} {values}  {name}")


def _page(path: Path, name: str, measured, reference, rows) -> bool:
    """Draw the page of one checkpoint; False where there is nothing to draw."""
    given, seen, strips = measured.given, measured.seen, []
    classes = range(given.num_classes)
    if "nearest_pixels" in seen:
        distance = seen["nearest_pixels"][1]
        if given.labels is None:
            chosen = np.argsort(distance)[: given.num_classes]
        else:
            chosen = [rows[np.argmin(distance[rows])] for rows in (np.flatnonzero(given.labels == k) for k in classes)]
        strips.append(("samples nearest to\ntraining images", given.images[chosen], [""] * len(chosen)))
        for kind in ("pixels", "features"):
            index, apart = (x[chosen] for x in seen[f"nearest_{kind}"])
            strips.append(
                (f"nearest training\nimage, in {kind}", reference.train.images[index], [f"{d:.2f}" for d in apart])
            )
    if "confidence" in seen:
        sure = seen["confidence"][np.arange(len(given.labels)), given.labels]
        best = [rows[np.argmax(sure[rows])] for rows in (np.flatnonzero(given.labels == k) for k in classes)]
        worst, read = np.argsort(sure)[: given.num_classes], seen["confidence"].argmax(axis=1)
        strips.append(("the judge's surest\nof each class", given.images[best], [f"{sure[i]:.3f}" for i in best]))
        strips.append(
            (
                "its least sure:\nasked, read",
                given.images[worst],
                [f"{given.labels[i]}, {read[i]}: {sure[i]:.2f}" for i in worst],
            )
        )
    best_row = reference_command.ROWS[0]
    bars = {
        title: {
            who: row[figure]
            for who, row in ((name, measured.figures), (best_row, rows.get(best_row, {})))
            if figure in row
        }
        for title, figure in (
            ("accuracy", "accuracy_by_class"),
            ("Frechet distance", "frechet_by_class"),
            ("pixel std", "pixel_std_by_class"),
        )
    }
    bars = {title: lines for title, lines in bars.items() if lines}
    if not strips and not bars:
        return False
    report.save_evaluation(path, strips, bars, f"{name}: {len(given.images):,} samples")
    return True


if __name__ == "__main__":
    sys.exit(cli.execute(main))
