"""Make what generated images are compared with, from your own images: `reference my_images/`.

DATA is a folder with one sub-folder per class, an .npz file, or the name of a data set. The command trains an
extractor, whose features are compared, and a reference classifier of another training, for the accuracy. The number of
images decides their sizes and steps: 500 images take about a minute on 2 CPU cores, 60,000 a quarter of an hour. Both
networks are written beside the data: for my_images/ and for my_images.npz, into my_images.reference/. The folder also
has the features of the test images and three rows to compare figures with: real training images (with the reference
classifier's accuracy on the test images, which it has not seen), the same with shuffled labels, and one image per
class repeated. `evaluate` then finds the folder by itself as long as the images stay the same. If you wrote it
elsewhere by --out DIR, give `evaluate --extractor DIR`.

`reference --extractor runs/extractor` writes features and rows (reference.npz and reference.json) beside a classifier
that you trained yourself. The images are those of the data set that it was trained on, unless --dataset is given. It
prints how much the rounding of the features to float16 changes the Frechet distance.
"""

import shlex

from cganjax import checkpoint as ckpt
from cganjax import cli, files, run_folder
from cganjax.commands import _flag_names
from cganjax.waiting import Waiting


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog=prog, description=__doc__)
    p.add_argument(
        "data",
        type=cli.name_or_path,
        nargs="?",
        metavar="DATA",
        help="train an extractor and a reference classifier on these images: a folder with one sub-folder per class, "
        "an .npz file, or a name",
    )
    p.add_argument(
        "--out", type=cli.path, metavar="DIR", help="with DATA: the folder to write (default: one beside the data)"
    )
    p.add_argument(
        "--extractor",
        type=cli.name_or_path,
        metavar="CLASSIFIER",
        help="without DATA: a classifier with features, a shipped name or a run (default: digits-v1)",
    )
    p.add_argument(
        "--classifier",
        "--judge",
        type=cli.name_or_path,
        dest="classifier",
        metavar="CLASSIFIER",
        help="without DATA: the reference classifier, of another training than the extractor, for the accuracies "
        "(default: the shipped one for such images, if any; --judge is the former name)",
    )
    cli.add_overwrite(p)
    cli.add_backend(p)
    cli.add_data(p)
    return p


def main(argv=None, prog: str = "python -m cganjax reference") -> int:
    """Train what is needed, measure the real data, then write the files."""
    flags = parser(prog)
    args = flags.parse_args(argv)
    _check(args)
    cli.choose_backend(args.backend)
    with _flag_names.said(flags):
        return _of_data(args) if args.data else _of_extractor(args)


def _check(args) -> None:
    others = {"--extractor": args.extractor, "--classifier": args.classifier, "--dataset": args.dataset}
    if args.data and (given := [flag for flag, value in others.items() if value]):
        raise cli.UserError(
            f"DATA is {args.data}, and {given[0]} was given: give DATA alone to train an extractor, or --extractor and "
            "--dataset for one of yours"
        )
    if not (args.data or args.extractor or args.classifier):
        args.data = args.dataset
    if args.out and not args.data:
        raise cli.UserError("--out was given without DATA: the files of --extractor are written beside it")


def _of_data(args) -> int:
    """Train both networks on DATA, and write them with the reference."""
    from cganjax import data
    from cganjax.evaluation import beside

    train, test = (
        data.dataset(args.data, split=split, data_dir=args.data_dir, size=args.size) for split in ("train", "test")
    )
    for note in dict.fromkeys(train.notes + test.notes):
        print(note)
    folder = beside.make(train, test, out=args.out, data_dir=args.data_dir, overwrite=args.overwrite)
    print(f"{folder.parent}: {_use(args, folder.parent)}")
    return cli.DONE


def _use(args, folder) -> str:
    """How the files are used."""
    if args.out:
        return f"cganjax evaluate RUN --extractor {shlex.quote(str(folder))} uses it"
    return "cganjax evaluate RUN uses it for every run on these images"


def _of_extractor(args) -> int:
    """Write the reference beside an extractor that exists."""
    from cganjax.evaluation import Unmeasurable, networks, reference, rows

    folder, extractor = _extractor(args)
    if args.classifier is not None and ckpt.find(args.classifier) == folder:
        raise cli.UserError(
            f"--classifier is {args.classifier}, which is the extractor: give a classifier of another training"
        )
    classifier, *_ = networks.reference_classifier(extractor, args.classifier, folder)
    files.new_file(folder / reference.CARD, args.overwrite)  # arrays without it are the rest of an interrupted call
    with Waiting("reading the data"):
        test, train = reference.splits(extractor, args.dataset, args.data_dir, args.size)
    real_test, real_train = (reference.real_images(d, extractor.image_shape, d.split) for d in (test, train))
    print(f"features of {len(test.images):,} test and {len(train.images):,} training images", flush=True)
    try:
        stored = rows.with_rows(extractor, classifier, real_test, real_train, len(real_test.images), say=_say)
        size = reference.write(folder, stored.exact, extractor)
    except Unmeasurable as error:  # too few images for the statistics, or features that are no numbers
        raise cli.UserError(f"{test.name}: {error}") from None
    _print_rounding(stored.exact, stored.rounded)
    print(f"{folder / reference.ARRAYS}: {size / 2**20:.2f} MiB\n{folder / reference.CARD}")
    return cli.DONE


def _extractor(args):
    """The folder that the reference is written into, and the extractor."""
    from cganjax import evaluation, sampling
    from cganjax.evaluation import places

    name = args.extractor or evaluation.EXTRACTOR
    folder = places.extractor_in(name)
    if not any((folder / file).exists() for file in (ckpt.CARD, run_folder.CONFIG)):
        raise cli.UserError(
            f"{name} is no shipped checkpoint and no run folder: give the folder of a classifier that was trained by "
            "cganjax train"
        )
    return folder, sampling.load_classifier(folder)


def _say(text: str) -> None:
    print(text.replace("classifier=", "--classifier"))


def _print_rounding(exact, shipped) -> None:
    from cganjax.evaluation.metrics import frechet

    if len(exact.features) <= exact.features.shape[1]:
        return  # too few images for a Frechet distance
    after = frechet.distance(frechet.statistics(exact.features), frechet.statistics(shipped.features))
    same = frechet.distance(frechet.statistics(exact.features), exact.train.statistics)
    rounded = frechet.distance(frechet.statistics(shipped.features), exact.train.statistics)
    print(f"float16: {after:.2e} from the exact test features; test against train {same:.6f} exact, {rounded:.6f}")
