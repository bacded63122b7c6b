"""Store what generated images are compared with beside a feature extractor: `reference --extractor runs/extractor`.

The extractor is a classifier, trained by `train`. The images are those of the data set it was trained on, unless
--dataset is given. reference.npz and reference.json are written into its folder. They hold its features of all test
images (float16), the statistics of its features of the training images, the distance from each test image to its
nearest training image, and three rows to compare figures with: real training images (with the reference classifier's
accuracy on the test images, which it has not seen), the same with shuffled labels, and one image per class repeated.
The command prints how much the rounding to float16 changes the Frechet distance. With the two files, `evaluate` needs
no data.
"""

from cganjax import checkpoint as ckpt
from cganjax import cli, files, run_folder
from cganjax.waiting import Waiting


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog=prog, description=__doc__)
    p.add_argument(
        "--extractor",
        type=cli.name_or_path,
        default="digits-v1",
        metavar="CLASSIFIER",
        help="a classifier with features: a shipped name or a run (default: digits-v1)",
    )
    p.add_argument(
        "--classifier",
        "--judge",
        type=cli.name_or_path,
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
    """Measure the real data, then write the files."""
    args = parser(prog).parse_args(argv)
    cli.choose_backend(args.backend)
    from cganjax.evaluation import Unmeasurable, networks, reference

    folder, extractor = _extractor(args)
    if args.classifier is not None and ckpt.find(args.classifier) == folder:
        raise cli.UserError(
            f"--classifier is {args.classifier}, which is the extractor: give a classifier of another training"
        )
    classifier = networks.reference_classifier(extractor, args.classifier)
    files.new_file(folder / reference.CARD, args.overwrite)  # arrays without it are the rest of an interrupted call
    with Waiting("reading the data"):
        test, train = reference.splits(extractor, args.dataset, args.data_dir, args.size)
    real_test, real_train = (reference.real_images(d, extractor.image_shape, d.split) for d in (test, train))
    print(f"features of {len(test.images):,} test and {len(train.images):,} training images", flush=True)
    try:
        exact, shipped = _measured(extractor, classifier, real_test, real_train)
        size = reference.write(folder, exact, extractor)
    except Unmeasurable as error:  # too few images for the statistics, or features that are no numbers
        raise cli.UserError(f"{test.name}: {error}") from None
    _print_rounding(exact, shipped)
    print(f"{folder / reference.ARRAYS}: {size / 2**20:.2f} MiB\n{folder / reference.CARD}")
    return cli.DONE


def _extractor(args):
    """The folder that the reference is written into, and the extractor."""
    from cganjax import sampling

    folder = ckpt.find(args.extractor)
    if not any((folder / name).exists() for name in (ckpt.CARD, run_folder.CONFIG)):
        raise cli.UserError(
            f"{args.extractor} is no shipped checkpoint and no run folder: give the folder of a classifier that was "
            "trained by cganjax train"
        )
    return folder, sampling.load_classifier(args.extractor)


def _measured(extractor, classifier, real_test, real_train):
    """The reference with unrounded features and its rows, and as it will be read, which the rows are measured by."""
    from cganjax import evaluation
    from cganjax.evaluation import reference, rows
    from cganjax.evaluation.progress import Progress

    exact = reference.with_train(extractor, reference.of_real(extractor, real_test), real_train)
    exact = exact._replace(classifier=classifier and reference.digest_of(classifier))
    shipped, n = reference.rounded(exact, extractor), len(real_test.images)
    names, left_out = evaluation.fitting(
        evaluation.check_names(None),
        False,
        True,
        exact._replace(train=exact.train._replace(images=real_train.images)),
        spec=extractor.spec,
        classified=classifier is not None,
    )
    # The test images are compared with the training images: generated ones with both.
    asked = [name for name in names if name == "frechet_train"]
    few = evaluation.too_few(asked, real_test.labels, n, extractor.num_classes, exact.features.shape[1])
    for name, why in (left_out | few).items():
        print(f"{name} is left out of the rows: it {why.replace('classifier=', '--classifier')}")
    names = [name for name in names if name not in few]
    progress = Progress(rows.row_parts(names, classifier))
    found = rows.measure_rows(
        shipped, exact, real_train, real_test[:2], extractor, classifier, n, 0, names=names, on_part=progress.part
    )
    progress.close()
    best = found[rows.ROWS[0]]
    print(", ".join(f"{k} {best[k]:.4f}" for k in evaluation.SHORT if k in best))
    return exact._replace(rows=found), shipped


def _print_rounding(exact, shipped) -> None:
    from cganjax.evaluation.metrics import frechet

    if len(exact.features) <= exact.features.shape[1]:
        return  # too few images for a Frechet distance
    after = frechet.distance(frechet.statistics(exact.features), frechet.statistics(shipped.features))
    same = frechet.distance(frechet.statistics(exact.features), exact.train.statistics)
    rounded = frechet.distance(frechet.statistics(shipped.features), exact.train.statistics)
    print(f"float16: {after:.2e} from the exact test features; test against train {same:.6f} exact, {rounded:.6f}")
