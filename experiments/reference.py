"""Ship what images are measured against: `python -m experiments.reference --extractor digits-v1 --data-dir DIR`.

Writes reference.npz and reference.json beside the extractor's weights: its features of all test images (float16), the
statistics of its features of the training images, each test image's distance to its nearest training image, and three
rows to read others beside: real training images (their accuracy is that of the test images, which the judge has not
seen), the same with shuffled labels, and one image a class repeated. Says what the rounding to float16 does.
"""

import sys

import numpy as np

from cganjax import cli, data, files

ROWS = ("real images", "shuffled labels", "one image a class")


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.reference", description=__doc__)
    p.add_argument("--extractor", default="digits-v1", help="a shipped classifier with features (default: digits-v1)")
    p.add_argument(
        "--judge",
        default="digits-judge",
        help="the shipped classifier that reads the rows' images (default: digits-judge)",
    )
    cli.add_overwrite(p)
    cli.add_backend(p)
    cli.add_data(p)
    return p


def main(argv=None) -> int:
    """Measure the real data, write, read back."""
    args = parser().parse_args(argv)
    cli.choose_backend(args.backend)
    from cganjax import checkpoint as ckpt
    from cganjax import evaluation, sampling
    from cganjax.evaluation import reference
    from cganjax.evaluation.metrics import frechet

    folder = ckpt.find(args.extractor)
    if not (folder / ckpt.CARD).exists():
        raise cli.UserError(f"{args.extractor} is no shipped checkpoint: ship it first by experiments.ship")
    extractor, judge = sampling.load_classifier(args.extractor), sampling.load_classifier(args.judge)
    for name in (reference.ARRAYS, reference.CARD):
        files.new_file(folder / name, args.overwrite)
    test, train = (data.load(args.dataset or "mnist", split, args.data_dir) for split in ("test", "train"))
    for dataset in (test, train):
        data.check_fits(dataset, extractor.image_shape, 1)
    real_test, real_train = (reference.real_images(d, extractor.image_shape, d.split) for d in (test, train))
    print(f"features of {len(test.images):,} test and {len(train.images):,} training images", flush=True)
    exact = reference.with_train(extractor, reference.of_real(extractor, real_test), real_train)
    exact = exact._replace(judge=reference.digest_of(judge))
    reference.write(folder, exact, extractor)
    shipped = reference.read(folder, extractor)

    found = rows(shipped, exact, real_train, real_test[:2], extractor, judge, len(test.images), 0, on_part=_say)
    print()
    size = reference.write(folder, exact._replace(rows=found), extractor)
    after = frechet.distance(frechet.statistics(exact.features), frechet.statistics(shipped.features))
    same = frechet.distance(frechet.statistics(exact.features), exact.train.statistics)
    rounded = frechet.distance(frechet.statistics(shipped.features), exact.train.statistics)
    print(f"float16: {after:.2e} from the exact test features; test against train {same:.6f} exact, {rounded:.6f}")
    floor = found[ROWS[0]]
    print(", ".join(f"{k} {floor[k]:.4f}" for k in evaluation.SHORT if k in floor))
    print(f"{folder / reference.ARRAYS}: {size / 2**20:.2f} MiB\n{folder / reference.CARD}")
    return cli.DONE


def rows(reference, exact, real, unseen, extractor, judge, n: int, seed: int, *, names=None, on_part=lambda name: None):
    """Figures of real images, of the same with shuffled labels, and of one image a class repeated.

    Args:
      reference: what is compared with; `exact`: the same with unrounded features, or itself.
      real: other real images than the reference's (an `evaluation.reference.Real`), of which the first n are taken.
      unseen: real images and their labels that the judge was not trained on: their accuracy is that of real images.
      names: metrics; all that train no classifier where None.
    """
    from cganjax import evaluation, scores
    from cganjax.evaluation.metrics import accuracy, bootstrap, frechet, neighbours

    names = names or evaluation.check_names(None)
    images, labels = real.images[:n], real.labels[:n]
    shuffled = np.random.default_rng(seed).permutation(labels)
    first = np.stack([real.images[np.argmax(real.labels == k)] for k in range(extractor.num_classes)])
    balanced = np.arange(len(images)) % extractor.num_classes
    cases = zip(ROWS, (images, images, first[balanced]), (labels, shuffled, balanced), strict=True)
    found = {}
    for name, x, y in cases:
        # These images are the training images, so that neither says anything of them.
        fitting = [m for m in names if m not in ("frechet_train", "memorisation")]
        if name != ROWS[0]:
            fitting = [m for m in fitting if not evaluation.METRICS[m].trains]
            if not fitting:
                continue
        measured = evaluation.measure(
            x,
            y,
            reference,
            extractor,
            judge,
            fitting,
            seed=seed,
            on_part=lambda part, name=name: on_part(f"{name}: {part}"),
        )
        found[name] = measured.figures | {"samples": len(x), "intervals": measured.intervals}
    if "accuracy" in names:
        images, labels = unseen
        answers = scores.confidences_of(judge, images).argmax(axis=1)
        found[ROWS[0]] |= accuracy.accuracy(labels, answers, extractor.num_classes)
        found[ROWS[0]]["intervals"]["accuracy"] = bootstrap.of_mean(answers == labels)
    if "memorisation" in names:
        # Of unseen real images by themselves: 1 % are nearer than their own 1st percentile.
        for kind in ("pixels", "features"):
            apart = getattr(reference.train, f"nearest_{kind}")
            found[ROWS[0]] |= {f"{k}_{kind}": v for k, v in neighbours.memorisation(apart, apart).items()}
    if "frechet_train" in names and reference.train is not None:
        statistics = frechet.statistics(exact.features)
        found[ROWS[0]]["frechet_train"] = frechet.distance(statistics, reference.train.statistics)
    return found


def _say(part: str) -> None:
    print(f"\r{part:60}", end="", flush=True) if sys.stdout.isatty() else print(part, flush=True)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
