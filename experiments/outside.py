"""Decoys against classifiers of other libraries, unmodified: `python -m experiments.outside --data-dir DIR`.

A random forest and a support vector machine of scikit-learn, a network in ONNX Runtime and one of PyTorch (those whose
libraries are installed) are trained on 10,000 images of MNIST; `square` and `spsa`, of the same budget, ask for their
scores and see nothing else. Beside them: random noise of the same size, uniform. Counted are the generated digits that
the model read right and its detector (msp) accepted before; its threshold accepts 95 % of the first 5,000 test images,
and its accuracy is on the other 5,000. Shares are in percent: rejected, kept (still read as the digit), and read as it
by `onlooker`, which took no part. Writes --out, a CSV; each finished row is there at once.
"""

import sys
import time
from pathlib import Path

import numpy as np

from cganjax import cli, data, files, pixels
from experiments import other_libraries

NOISE, SPSA_STEPS = "noise", 20
WIDTHS = {
    "model": -16,
    "accuracy": 8,
    "method": -7,
    "epsilon": 7,
    "seed": 4,
    "digits": 6,
    "counted": 7,
    "clean_confidence": 16,
    "confidence": 10,
    "rejected": 8,
    "kept": 6,
    "onlooker": 8,
    "queries": 7,
    "seconds": 7,
    "note": -4,
}


def main(argv=None) -> int:
    """Train, calibrate, attack, tabulate: a model after the other."""
    p = cli.Parser(prog="python -m experiments.outside", description=__doc__)
    p.add_argument("--n", type=int, default=30, help="generated digits (default: 30)")
    p.add_argument("--epsilon", type=float, default=0.2, help="largest change of a pixel (default: 0.2)")
    p.add_argument("--queries", type=int, default=1000, help="budget of each image (default: 1000)")
    p.add_argument("--seed", type=int, default=0, help="of the digits and the attacks (default: 0)")
    p.add_argument("--out", type=Path, default=Path("runs/outside.csv"), help="default: runs/outside.csv")
    cli.add_overwrite(p)
    cli.add_backend(p)
    p.add_argument("--data-dir", metavar="DIR", help="where MNIST lies (default: as for train)")
    args = p.parse_args(argv)
    cli.check_seed(args.seed)
    if args.n < 1 or args.queries < 1 + 3 * SPSA_STEPS or not 0 <= args.epsilon <= 1:
        raise cli.UserError(
            f"--n {args.n}, --queries {args.queries}, --epsilon {args.epsilon}: give at least 1, at "
            f"least {1 + 3 * SPSA_STEPS}, and within 0 and 1"
        )
    out = files.new_file(args.out, args.overwrite)
    cli.choose_backend(args.backend)
    from cganjax import rng, sampling, scores
    from cganjax.decoys import detectors

    train, test = (data.load("mnist", split, args.data_dir) for split in ("train", "test"))
    images, labels = pixels.rest_to_unit(train.images[:10000]), train.labels[:10000]
    real = pixels.rest_to_unit(test.images)
    asked, key = np.arange(args.n) % 10, rng.root(args.seed)
    clean = np.asarray(sampling.sample(rng.stream(key, "digits"), asked))
    onlooker = sampling.load_classifier("onlooker")
    models, rows = other_libraries.installed(), []
    print(_line(dict(zip(WIDTHS, WIDTHS, strict=True))), flush=True)
    for name, train_model in models.items():
        model = train_model(images, labels)
        detector = detectors.calibrate("msp", model, real[: data.CALIBRATION])
        answers = scores.confidences_of(model, real[data.CALIBRATION :]).argmax(axis=1)
        accuracy = (answers == test.labels[data.CALIBRATION :]).mean()
        before = scores.confidences_of(model, clean)
        usable = (before.argmax(axis=1) == asked) & ~np.asarray(detector.rejects(clean))
        if not usable.any():
            raise cli.UserError(f"{name} rejects or misreads all {args.n} digits: give a larger --n")
        for method in (NOISE, "square", "spsa"):
            began = time.perf_counter()
            made, queries = _attacked(rng.stream(key, method), clean[usable], model, method, args)
            seconds = time.perf_counter() - began
            after = scores.confidences_of(model, made)
            read = scores.confidences_of(onlooker, made).argmax(axis=1)
            confidence = after.max(axis=1).mean()
            if method == NOISE:
                by_noise = confidence
            rows.append(
                {
                    "model": name,
                    "accuracy": _percent(accuracy),
                    "method": method,
                    "epsilon": f"{args.epsilon:g}",
                    "seed": args.seed,
                    "digits": args.n,
                    "counted": int(usable.sum()),
                    "clean_confidence": f"{before[usable].max(axis=1).mean():.3f}",
                    "confidence": f"{confidence:.3f}",
                    "rejected": _percent(np.asarray(detector.rejects(made)).mean()),
                    "kept": _percent((after.argmax(axis=1) == asked[usable]).mean()),
                    "onlooker": _percent((read == asked[usable]).mean()),
                    "queries": queries,
                    "seconds": f"{seconds:.1f}",
                    "note": "no better than noise" if method != NOISE and confidence >= by_noise else "",
                }
            )
            files.write_csv(out, WIDTHS, [row.values() for row in rows])
            print(_line(rows[-1]), flush=True)
    print(out)
    return cli.DONE


def _attacked(key, clean, model, method: str, args) -> tuple[np.ndarray, int]:
    """Changed images, and how often the model was asked for each."""
    from cganjax import decoys, rng
    from cganjax.decoys.attacks import norms

    if method == NOISE:
        bounds = norms.Bounds(clean, np.full(len(clean), args.epsilon, np.float32), np.ones_like(clean))
        return np.asarray(norms.random_start(rng.items(key, len(clean)), "linf", bounds)), 0
    # A step of spsa asks for pairs and for where it has come.
    spsa = {"steps": SPSA_STEPS, "samples": ((args.queries - 1) // SPSA_STEPS - 1) // 2}
    settings = {"square": {"queries": args.queries}, "spsa": spsa}[method]
    result = decoys.decoy(key, clean, model, epsilon=args.epsilon, method=method, **settings)
    return result.images, int(result.queries.mean())


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _line(row: dict) -> str:
    return "  ".join(f"{row[c]!s:{'<' if w < 0 else '>'}{abs(w)}}" for c, w in WIDTHS.items()).rstrip()


if __name__ == "__main__":
    sys.exit(cli.execute(main))
