"""Store what generated images are compared with beside a feature extractor: `reference --extractor runs/extractor`.

The extractor is a classifier, trained by `train`. The images are those of the data set it was trained on, unless
--dataset is given. reference.npz and reference.json are written into its folder. They hold its features of all test
images (float16), the statistics of its features of the training images, the distance from each test image to its
nearest training image, and three rows to compare figures with: real training images (with the reference classifier's
accuracy on the test images, which it has not seen), the same with shuffled labels, and one image per class repeated.
The command prints how much the rounding to float16 changes the Frechet distance. With the two files, `evaluate` needs
no data.
"""

from cganjax import cli, files


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog=prog, description=__doc__)
    p.add_argument(
        "--extractor",
        default="digits-v1",
        metavar="CLASSIFIER",
        help="a classifier with features: a shipped name or a run (default: digits-v1)",
    )
    p.add_argument(
        "--classifier",
        "--judge",
        dest="classifier",
        metavar="CLASSIFIER",
        help="the reference classifier, of another training than the extractor, for the accuracies of the rows "
        "(default: the shipped one for such images, if any; --judge is the former name)",
    )
    cli.add_overwrite(p)
    cli.add_backend(p)
    cli.add_data(p)
    return p


def main(argv=None, prog: str = "python -m cganjax reference") -> int:
    """Measure the real data, write the files, read them back."""
    args = parser(prog).parse_args(argv)
    cli.choose_backend(args.backend)
    from cganjax.evaluation import networks, reference

    folder, extractor = _extractor(args)
    classifier = networks.reference_classifier(extractor, args.classifier)
    for name in (reference.ARRAYS, reference.CARD):
        files.new_file(folder / name, args.overwrite)
    test, train = reference.splits(extractor, args.dataset, args.data_dir)
    real_test, real_train = (reference.real_images(d, extractor.image_shape, d.split) for d in (test, train))
    print(f"features of {len(test.images):,} test and {len(train.images):,} training images", flush=True)
    exact = _measured(extractor, classifier, real_test, real_train, test.name)
    shipped, size = _write(folder, exact, extractor, classifier, real_test, real_train)
    _print_rounding(exact, shipped)
    print(f"{folder / reference.ARRAYS}: {size / 2**20:.2f} MiB\n{folder / reference.CARD}")
    return cli.DONE


def _extractor(args):
    """The folder that the reference is written into, and the extractor."""
    from cganjax import checkpoint as ckpt
    from cganjax import sampling

    folder = ckpt.find(args.extractor)
    if not any((folder / name).exists() for name in (ckpt.CARD, ckpt.CONFIG)):
        raise cli.UserError(
            f"{args.extractor} is no shipped checkpoint and no run folder: give the folder of a classifier that was "
            "trained by cganjax train"
        )
    return folder, sampling.load_classifier(args.extractor)


def _measured(extractor, classifier, real_test, real_train, name: str):
    """The reference with unrounded features, without rows."""
    from cganjax.evaluation import reference

    try:
        exact = reference.with_train(extractor, reference.of_real(extractor, real_test), real_train)
    except ValueError as error:  # too few images for the statistics, or features that are no numbers
        raise cli.UserError(f"{name}: {error}") from None
    return exact._replace(classifier=classifier and reference.digest_of(classifier))


def _write(folder, exact, extractor, classifier, real_test, real_train):
    """Write the reference, measure the rows against what was written, write it again with them."""
    from cganjax import evaluation
    from cganjax.evaluation import reference, rows
    from cganjax.evaluation.progress import Progress

    reference.write(folder, exact, extractor)
    shipped, n = reference.read(folder, extractor), len(real_test.images)
    names, left_out = evaluation.fitting(
        evaluation.check_names(None),
        False,
        True,
        exact._replace(train=exact.train._replace(images=real_train.images)),
        spec=extractor.spec,
        classified=classifier is not None,
    )
    for name, why in left_out.items():
        print(f"{name} is left out of the rows: it {why.replace('classifier=', '--classifier')}")
    progress = Progress(rows.row_parts(names, classifier))
    found = rows.measure_rows(
        shipped, exact, real_train, real_test[:2], extractor, classifier, n, 0, names=names, on_part=progress.part
    )
    progress.close()
    size = reference.write(folder, exact._replace(rows=found), extractor)
    best = found[rows.ROWS[0]]
    print(", ".join(f"{k} {best[k]:.4f}" for k in evaluation.SHORT if k in best))
    return shipped, size


def _print_rounding(exact, shipped) -> None:
    from cganjax.evaluation.metrics import frechet

    if len(exact.features) <= exact.features.shape[1]:
        return  # too few images for a Frechet distance
    after = frechet.distance(frechet.statistics(exact.features), frechet.statistics(shipped.features))
    same = frechet.distance(frechet.statistics(exact.features), exact.train.statistics)
    rounded = frechet.distance(frechet.statistics(shipped.features), exact.train.statistics)
    print(f"float16: {after:.2e} from the exact test features; test against train {same:.6f} exact, {rounded:.6f}")
