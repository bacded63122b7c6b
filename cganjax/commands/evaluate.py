"""Measure how good the samples of generators are: `evaluate mnist runs/mine-s0 --data-dir DIR`.

The table has one column per checkpoint, of --n samples with balanced labels. For comparison it has columns of real
images (the best possible), of the same with shuffled labels, and of one image per class repeated (the worst).

The features are those of the --extractor, or of the one that is shipped for the data set that the generator was trained
on, or of the one that `reference` made from your own images, which lies beside them; the command prints which it took
and why. Without --data-dir, everything that needs no data is measured, against the reference that is stored beside the
extractor; your own images are read from where they were.

For each checkpoint a page is written into --out: its samples nearest to training images with these images, the samples
that the reference classifier is surest and least sure of, and bars by class.
"""

import os
import shlex
import time
from pathlib import Path

from cganjax import checkpoint as ckpt
from cganjax import cli, files
from cganjax.waiting import Waiting

MOST, QUICK = 10_000, 2000  # samples of each checkpoint


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog=prog, description=__doc__)
    p.add_argument(
        "checkpoints",
        type=cli.name_or_path,
        nargs="*",
        metavar="CHECKPOINT",
        default=[ckpt.DEFAULT],
        help=f"generators: shipped names, runs or checkpoint folders (default: {ckpt.DEFAULT})",
    )
    p.add_argument("--n", type=int, help="samples of each (default: 10,000, or as many as there are stored real ones)")
    p.add_argument("--quick", action="store_true", help="2,000 samples for a first look, unless --n is given")
    p.add_argument("--seed", type=int, default=0, help="of samples, subsets and bootstrap draws (default: 0)")
    p.add_argument("--metrics", nargs="+", metavar="NAME", help="only these (default: all that train no classifier)")
    p.add_argument("--cas", action="store_true", help="also train a classifier on the samples and test it on real data")
    p.add_argument(
        "--two-sample", action="store_true", help="also train a classifier to distinguish them from real images"
    )
    p.add_argument(
        "--reference",
        choices=("test", "train"),
        default="test",
        help="compare with test images to report, with training images to choose between runs (default: test)",
    )
    p.add_argument(
        "--extractor",
        type=cli.name_or_path,
        metavar="CLASSIFIER",
        help="the classifier whose features are compared: a shipped name, a run, a checkpoint folder, or what "
        "`reference` wrote (default: the one shipped for the data set, or kept beside it)",
    )
    p.add_argument(
        "--classifier",
        "--judge",
        type=cli.name_or_path,
        dest="classifier",
        metavar="CLASSIFIER",
        help="the reference classifier, of another training than the extractor, for the accuracy of the samples "
        "(default: the one made with the extractor, or shipped for its data, if any; --judge is the former name)",
    )
    p.add_argument("--json", type=cli.path, metavar="FILE", help="also write all figures to this file")
    p.add_argument(
        "--out", type=cli.path, default=Path("runs/evaluate"), help="a folder for pages (default: runs/evaluate)"
    )
    cli.add_overwrite(p)
    cli.add_backend(p)
    cli.add_data(p)
    return p


def main(argv=None, prog: str = "python -m cganjax evaluate") -> int:
    """Sample, measure, print the table, draw the pages."""
    args = parser(prog).parse_args(argv)
    cli.check_seed(args.seed)
    if args.n is not None and args.n < 1:
        raise cli.UserError(f"--n is {args.n}: give at least 1")
    cli.choose_backend(args.backend)
    from cganjax import memory, sampling
    from cganjax.evaluation import networks, text

    names = _metrics(args)
    generators = {name: sampling.load(name) for name in dict.fromkeys(args.checkpoints)}
    chosen = networks.choose(
        generators, args.extractor, args.classifier, dataset=_compared_with(args, generators), data_dir=args.data_dir
    )
    began = time.perf_counter()
    reference, train = _real_data(args, chosen, names)
    n = _samples(args, reference, train)
    for generator in generators.values():
        memory.check_images(f"--n is {n}", n, generator.image_shape)
    pages = _new_files(args, generators)
    metrics, left_out = _fitting(args, names, generators, chosen, reference, n)
    _print_what_is_compared(chosen, reference, time.perf_counter() - began)
    _print_warnings(args, generators, reference, left_out)

    columns, measured = _measure(args, generators, chosen, reference, metrics, n)
    rows = _rows(args, reference, train, chosen, n, metrics)
    taken = {figure for column in columns.values() for figure in column}
    quality = networks.quality(chosen.extractor, rows)
    rows = {name: {k: v for k, v in row.items() if k in taken} for name, row in rows.items()}
    print("\n".join(text.table(columns | rows)))
    _print_missing_rows(args, chosen, rows)
    said = text.quality(quality)
    if said:
        print(said)
    for name, path in pages.items():
        if _draw(path, name, measured[name], reference, rows, said, generators[name].spec):
            print(path)
    if args.json:
        about = _about(args, chosen, reference, left_out, n) | {"extractor_quality": quality}
        files.write_json(args.json, about | {"checkpoints": columns, "rows": rows})
        print(args.json)
    return cli.DONE


# --- what is measured -------------------------------------------------------------------------------------------------


def _metrics(args) -> tuple[str, ...]:
    from cganjax import evaluation

    try:
        names = evaluation.check_names(args.metrics)
    except evaluation.Unmeasurable as error:
        raise cli.UserError(f"--metrics: {error}") from None
    return tuple(dict.fromkeys(names + ("cas",) * args.cas + ("two_sample",) * args.two_sample))


def _new_files(args, generators) -> dict[str, Path]:
    """The path of each checkpoint's page, none of which exists."""
    last = [Path(name).name for name in generators]
    if len(set(last)) < len(last):
        raise cli.UserError(
            f"{' and '.join(generators)}: two have the same last name, and their pages would overwrite each other; "
            "evaluate them one by one"
        )
    pages = {name: files.new_file(args.out / f"{Path(name).name}.png", args.overwrite) for name in generators}
    if args.json:
        files.new_file(args.json, args.overwrite)
    return pages


def _compared_with(args, generators):
    """The training images of --dataset, if it is given and no extractor is: they decide which one it is."""
    from cganjax import data

    if args.extractor or not args.dataset:
        return None
    trained_on = next(iter(generators.values())).card.get("data", {})
    return data.dataset(args.dataset, data_dir=args.data_dir, size=args.size or trained_on.get("size"))


def _samples(args, reference, train) -> int:
    """How many samples are measured: at most as many as there are real images in a row, so that columns compare."""
    if args.n is not None:
        return args.n
    real = [row["samples"] for row in reference.rows.values()] or [MOST if train is None else len(train.images)]
    return min(*real, QUICK if args.quick else MOST)


def _real_data(args, chosen, names):
    """The reference, and the images that generators were trained on if there are data."""
    from cganjax import evaluation
    from cganjax.evaluation import networks, reference

    extractor = chosen.extractor
    stored = None
    if args.reference == "test" and not args.dataset:
        try:
            stored = reference.read(chosen.folder, extractor)
        except cli.CheckpointError as error:
            raise networks.again(chosen.folder, error) from None
    found = _splits(args, chosen, stored)
    if found is None:
        return stored, None
    test, train = found
    if args.reference == "train":
        # As many as there are test images, for figures of the same scale; the test images stand for unseen ones.
        rows = slice(None, len(test.images))
        test, train = train._replace(images=train.images[rows], labels=train.labels[rows]), test
    real, train = (reference.real_images(d, extractor.image_shape, "--data-dir") for d in (test, train))
    distances = "memorisation" in names
    try:
        if stored is not None and stored.about.get("fingerprint") == real.about["fingerprint"]:
            known = reference.with_train(extractor, stored, train) if distances else stored
            return known._replace(images=real.images), train
        measured = reference.of_real(extractor, real)
        if args.reference == "test" and any(evaluation.METRICS[name].train for name in names):
            measured = reference.with_train(extractor, measured, train, distances)
    except evaluation.Unmeasurable as error:  # too few images for the statistics, or features that are no numbers
        raise cli.UserError(f"{test.name}: {error}") from None
    return measured, train


def _splits(args, chosen, stored):
    """The test and the training images; None if they are not asked for, or are not there any more."""
    from cganjax import data
    from cganjax.evaluation import reference

    asked = args.data_dir or args.dataset or args.size or os.environ.get(data.ENVIRONMENT)
    if asked or chosen.beside_data:
        try:
            with Waiting("reading the data"):
                return reference.splits(chosen.extractor, args.dataset, args.data_dir, args.size)
        except cli.UserError as error:
            if asked or stored is None:
                raise
            print(f"the images are not read: {error}")
            return None
    if stored is None:
        name = args.extractor or chosen.extractor.card["name"]
        raise cli.UserError(
            f"{name} has no stored reference for --reference {args.reference}: say where the data lie (--data-dir DIR "
            f"or --dataset NAME), or store one by cganjax reference --extractor {name}"
        )
    return None


def _fitting(args, names, generators, chosen, reference, n: int):
    """The metrics that can be computed, and why others are left out."""
    import numpy as np

    from cganjax import evaluation

    asked = args.metrics is not None or args.cas or args.two_sample
    labelled = any(generator.num_classes is not None for generator in generators.values())
    spec, classified = chosen.extractor.spec, chosen.classifier is not None
    labels, size = np.arange(n) % spec.num_classes, reference.features.shape[1]
    try:
        metrics, left_out = evaluation.fitting(names, asked, labelled, reference, spec=spec, classified=classified)
        metrics, too_few = evaluation.check_enough(metrics, asked, labels, n, spec.num_classes, size)
    except evaluation.Unmeasurable as error:
        raise cli.UserError(_for_shell(str(error))) from None
    return metrics, left_out | too_few


def _measure(args, generators, chosen, reference, metrics, n: int):
    """The column of figures of each checkpoint, and all that was measured of it."""
    import numpy as np

    from cganjax import evaluation, rng, sampling
    from cganjax.evaluation.progress import Progress

    extractor, classifier = chosen.extractor, chosen.classifier
    fitting = {
        name: evaluation.fitting(metrics, False, generator.num_classes is not None, reference)[0]
        for name, generator in generators.items()
    }
    progress = Progress(
        [f"{name}: {p}" for name in generators for p in ("sampling", *evaluation.parts(fitting[name], classifier))]
    )
    columns, measured = {}, {}
    for name, generator in generators.items():
        began = time.perf_counter()
        progress.part(f"{name}: sampling")
        labels = None if generator.num_classes is None else np.arange(n) % generator.num_classes
        asked_for = {"n": n} if labels is None else {"labels": labels}
        images = np.asarray(sampling.sample_from(generator, rng.root(args.seed), **asked_for))
        if not np.isfinite(images).all():
            raise cli.UserError(f"{name} generates pixels that are NaN: give an earlier checkpoint, or train it again")
        seconds = {"sampling": round(time.perf_counter() - began, 3)}
        found = evaluation.measure(
            images,
            labels,
            reference,
            extractor,
            classifier,
            fitting[name],
            seed=args.seed,
            on_part=lambda part, name=name: progress.part(f"{name}: {part}"),
        )
        progress.close()
        measured[name] = found
        seconds |= found.seconds
        columns[name] = found.figures | {"samples": n, "intervals": found.intervals, "seconds": seconds}
        parts = ", ".join(f"{part} {s:.1f}" for part, s in seconds.items())
        print(f"{name}: {sum(seconds.values()):.1f} s ({parts})", flush=True)
    return columns, measured


def _rows(args, reference, train, chosen, n: int, metrics):
    """The stored rows if they are of as many images; what they lack is measured if there are data."""
    from cganjax import evaluation
    from cganjax.evaluation import rows
    from cganjax.evaluation.progress import Progress

    stored = evaluation.rows_for(reference, chosen.classifier)
    of_n = bool(stored) and all(row["samples"] == n and "accuracy" in row for row in stored.values())
    lacking = [name for name in metrics if evaluation.METRICS[name].trains] if of_n else metrics
    if train is None or not lacking:
        return stored
    unseen = (train.images, train.labels) if args.reference == "train" else (reference.images, reference.labels)
    progress = Progress(rows.row_parts(lacking, chosen.classifier))
    found = rows.measure_rows(
        reference,
        reference,
        train,
        unseen,
        chosen.extractor,
        chosen.classifier,
        n,
        args.seed,
        names=lacking,
        on_part=progress.part,
    )
    progress.close()
    if not of_n:
        return found
    merged = {name: stored[name] | found.get(name, {}) for name in stored}
    for name in found:
        merged[name]["intervals"] = stored[name]["intervals"] | found[name]["intervals"]
    return merged


# --- what is said -----------------------------------------------------------------------------------------------------


def _print_what_is_compared(chosen, reference, seconds: float) -> None:
    from cganjax import evaluation

    training = _said(reference.train and reference.train.about)
    print(f"reference: {_said(reference.about)}; training images: {training}; {seconds:.1f} s")
    for role, network, why in (
        ("features", chosen.extractor, chosen.why),
        ("accuracy", chosen.classifier, chosen.why_classifier),
    ):
        if network is not None:
            print(f"{role} by {network.card['name']}, {why}, SHA-256 {evaluation.named(network)['sha256']}")


def _print_warnings(args, generators, reference, left_out) -> None:
    for name, generator in generators.items():
        if args.reference == "train" and has_seen(generator.card["data"], reference.about):
            print(
                f"{name} was trained on {generator.card['data']['split']}, which contains images of the reference: to "
                f"choose by it, train on 'train[{reference.about['images']}:]'"
            )
    for name, why in left_out.items():
        if args.reference == "train" and "train=" in why:
            why = "compares with training images, and they are the reference"
        print(f"{name} is left out: it {_for_shell(why)}")


def _print_missing_rows(args, chosen, rows) -> None:
    """Why there is no column of real images, if there is none."""
    from cganjax.evaluation import ROWS

    if ROWS[0] not in rows:
        name = args.extractor or chosen.extractor.card["name"]
        print(
            f"there is no column of {ROWS[0]}: the reference of {name} stores no rows; measure them here (--data-dir "
            f"DIR or --dataset NAME), or store them by cganjax reference --extractor {shlex.quote(name)} --overwrite"
        )


def has_seen(trained_on, about) -> bool:
    """Whether a generator was trained on some of the first training images, which --reference train compares with."""
    from cganjax.data import SPLIT

    found = SPLIT.fullmatch(trained_on["split"])
    if trained_on["name"] != about["name"] or found is None:
        return False
    whole, start, _ = found.groups()
    return whole != "test" and int(start or 0) < about["images"]


def _for_shell(text: str) -> str:
    """A message of `cganjax.evaluate` in the words of the command."""
    for argument in ("real=", "train="):
        text = text.replace(argument, "--data-dir")
    return text.replace("metrics=", "--metrics").replace("classifier=", "--classifier")


def _said(about) -> str:
    if about is None:
        return "none"
    return " ".join(str(about[k]) for k in ("name", "split") if k in about) + f", {about['images']:,} images"


def _draw(path: Path, name: str, measured, reference, rows, said: str, spec) -> bool:
    """Draw the page of one checkpoint, under what is said of the extractor; False if there is nothing to draw."""
    from cganjax import report
    from cganjax.evaluation import page

    strips, bars = page.strips(measured, reference, spec), page.bars(name, measured, rows)
    if not strips and not bars:
        return False
    title = f"{name}: {len(measured.given.images):,} samples\n{said}"
    report.save_evaluation(path, strips, bars, title, spec=spec)
    return True


def _about(args, chosen, reference, left_out, n: int) -> dict:
    """What --json says of the measurement."""
    from cganjax import evaluation

    by = chosen.classifier and evaluation.named(chosen.classifier) | {"chosen": chosen.why_classifier}
    return {
        "samples": n,
        "seed": args.seed,
        "extractor": evaluation.named(chosen.extractor) | {"chosen": chosen.why},
        "classifier": by,
        "judge": by,  # the former name; removed in the next version
        "reference": dict(reference.about),
        "train": reference.train and dict(reference.train.about),
        "left_out": left_out,
    }
