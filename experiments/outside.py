"""Decoys against classifiers of other libraries, unmodified: `python -m experiments.outside --data-dir DIR`.

A random forest and a support vector machine of scikit-learn, a network in ONNX Runtime and one of PyTorch (those whose
libraries are installed) are trained on 10,000 training images of the held-out classifier's data set. The attacks
`square` and `spsa`, with the same budget, ask for their outputs and see nothing else; uniform random noise of the same
size stands beside them. Counted are the generated images that the model classified correctly and its detector (msp)
accepted before; its threshold accepts 95 % of the first 5,000 test images, and its accuracy is on the others. The
columns are in percent: rejected, kept (still classified as the label), and classified as the label by `onlooker`, which
took no part. The command writes --out, a CSV, after each row.
"""

import sys

import numpy as np

from cganjax import cli, data, files, pixels
from cganjax.waiting import Waiting
from experiments import other_libraries, study

HELD_OUT, TRAINING_IMAGES = "onlooker", 10_000
# Widths of the columns as printed; negative ones are aligned to the left.
WIDTHS = (-16, 8, -7, 7, 4, 6, 7, 16, 10, 8, 6, 8, 7, 7, -4)


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.outside", description=__doc__)
    p.add_argument("--n", type=int, default=30, help="generated images (default: 30)")
    p.add_argument("--epsilon", type=float, default=0.2, help="largest change of a pixel (default: 0.2)")
    p.add_argument("--queries", type=int, default=1000, help="budget of each image (default: 1000)")
    study.add_checkpoint(p)
    p.add_argument(
        "--held-out",
        type=cli.name_or_path,
        default=HELD_OUT,
        metavar="CLASSIFIER",
        help=f"a shipped name or a run; the models are trained on its data set (default: {HELD_OUT})",
    )
    study.add_table(p, "runs/outside.csv")
    return p


def main(argv=None) -> int:
    """Train, calibrate, attack, tabulate: one model after the other."""
    args = parser().parse_args(argv)
    cli.check_seed(args.seed)
    from cganjax.decoys import by_queries  # which starts no backend

    if args.n < 1 or args.queries < by_queries.LEAST_QUERIES or not 0 <= args.epsilon <= 1:
        raise cli.UserError(
            f"--n {args.n}, --queries {args.queries}, --epsilon {args.epsilon}: give at least 1, at "
            f"least {by_queries.LEAST_QUERIES}, and within 0 and 1"
        )
    out = files.new_file(args.out, args.overwrite)
    cli.choose_backend(args.backend)
    from cganjax import memory, rng, sampling, scores
    from cganjax.decoys import detectors, pool

    held_out = sampling.load_classifier(args.held_out)
    real = study.real_images({args.held_out: held_out}, args.data_dir)
    train = data.of_card(held_out.card, "train", args.data_dir)
    generator = study.generator(args.checkpoint, real.spec)
    memory.check_images(f"--n is {args.n}", args.n, real.spec.shape)
    labels, key = np.arange(args.n) % real.spec.num_classes, rng.root(args.seed)
    with Waiting(f"generating {args.n:,} images"):
        images = np.asarray(sampling.sample(rng.stream(key, "digits"), labels, checkpoint=generator))
    seen, others = slice(None, real.calibration), slice(real.calibration, None)
    models, rows = other_libraries.installed(), []
    print(_printed(by_queries.Row._fields), flush=True)
    for name, train_model in models.items():
        with Waiting(f"training {name}") as waiting:
            model = train_model(pixels.rest_to_unit(train.images[:TRAINING_IMAGES]), train.labels[:TRAINING_IMAGES])
            waiting.now(f"calibrating the detector of {name}")
            detector = detectors.calibrate("msp", model, real.images[seen])
        if not pool.usable(model, images, labels, detector).any():
            raise cli.UserError(f"{name} rejects or misclassifies all {args.n} images: give a larger --n")
        for row in by_queries.rows(
            key,
            name,
            model,
            detector,
            held_out,
            images,
            labels,
            accuracy=(scores.predictions_of(model, real.images[others]) == real.labels[others]).mean(),
            epsilon=args.epsilon,
            queries=args.queries,
            seed=args.seed,
        ):
            rows.append(row)
            files.write_csv(out, row._fields, rows)
            print(_printed(row), flush=True)
    print(out)
    return cli.DONE


def _printed(values) -> str:
    cells = (f"{v!s:{'<' if w < 0 else '>'}{abs(w)}}" for v, w in zip(values, WIDTHS, strict=True))
    return "  ".join(cells).rstrip()


if __name__ == "__main__":
    sys.exit(cli.execute(main))
