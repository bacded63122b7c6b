"""How well decoys deceive the classifier that they were made against: `python -m experiments.white_box --data-dir DIR`.

A row a target, method and epsilon, of generated digits that the target read right and its detector accepted before (for
label-score of those with a highest output above 0.5, as its authors counted): the share below 0.5, rejected, still read
as the digit, and both; queries and seconds. Thresholds accept 95 % of the first 5,000 test images. Writes --out, a CSV;
each finished row is there at once, and an interrupted table goes on (of classifiers that have changed since, give
--overwrite).
"""

import csv
import sys
import time
from pathlib import Path

import numpy as np

from cganjax import cli, data, files, pixels

# target -> rows of (method, epsilon, settings)
ROWS = {
    "lenet5": [
        *(("pgd", e, {"steps": 40, "share": 0.07}) for e in (0.05, 0.1, 0.15, 0.2)),
        *(("fgsm", e, {}) for e in (0.1, 0.2)),
        ("latent", 0.0, {}),
        ("latent+pixel", 0.05, {}),
    ],
    "target-robust": [("pgd", e, {}) for e in (0.1, 0.2, 0.3)],
    "label-score": [
        *(("fgsm", e, {}) for e in (0.1, 0.2)),
        *(("pgd", e, {}) for e in (0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2)),
        ("coordinate", 0.2, {"keep_label": False}),  # as published
    ],
}
COLUMNS = (
    "target",
    "method",
    "epsilon",
    "seed",
    "digits",
    "counted",
    "below_half",
    "rejected",
    "kept",
    "both",
    "onlooker",
    "queries",
    "seconds",
)


def main(argv=None) -> int:
    """Calibrate, attack, tabulate."""
    p = cli.Parser(prog="python -m experiments.white_box", description=__doc__)
    p.add_argument("--targets", nargs="+", choices=tuple(ROWS), default=list(ROWS), help="some of them (default: all)")
    p.add_argument("--n", type=int, default=1200, help="generated digits (default: 1200)")
    p.add_argument("--seed", type=int, default=0, help="of the digits and the attacks (default: 0)")
    p.add_argument("--out", type=Path, default=Path("runs/white-box.csv"), help="default: runs/white-box.csv")
    cli.add_overwrite(p)
    cli.add_backend(p)
    p.add_argument("--data-dir", metavar="DIR", help="where MNIST lies (default: as for train)")
    args = p.parse_args(argv)
    cli.check_seed(args.seed)
    if args.n < 10:
        raise cli.UserError(f"--n is {args.n}: give at least 10")
    cli.choose_backend(args.backend)
    from cganjax import decoys, rng, sampling, scores
    from cganjax.decoys import detectors

    files.writable_folder(args.out.parent)
    done = [] if args.overwrite or not args.out.exists() else list(csv.DictReader(args.out.read_text().splitlines()))
    if done and tuple(done[0]) != COLUMNS:
        raise cli.UserError(f"{args.out} has other columns than this table: give another --out, or --overwrite")
    test = data.load("mnist", "test", args.data_dir)
    real = pixels.rest_to_unit(test.images[: data.CALIBRATION])
    key, labels, generator = rng.root(args.seed), np.arange(args.n) % 10, sampling.load("mnist")
    z = np.asarray(sampling.latents(rng.stream(key, "z"), args.n, generator.latent_size))
    clean = np.asarray(scores.in_chunks(lambda rows: generator(z[rows], labels[rows]), np.arange(args.n)))
    onlooker = sampling.load_classifier("onlooker")
    print("  ".join(f"{c:>10}" for c in COLUMNS))
    for target in args.targets:
        classifier = sampling.load_classifier(target)
        sigmoid = classifier.scores == "sigmoid"
        detector = detectors.calibrate(detectors.fitting(classifier)[0], classifier, real)
        before = scores.confidences_of(classifier, clean)
        usable = (before.argmax(axis=1) == labels) & ~np.asarray(detector.rejects(clean))
        if sigmoid:
            usable = before.max(axis=1) > 0.5
        for method, epsilon, settings in ROWS[target]:
            same = [
                r
                for r in done
                if (r["target"], r["method"], float(r["epsilon"])) == (target, method, epsilon)
                and (int(r["digits"]), int(r["seed"])) == (args.n, args.seed)
            ]
            if same:
                print("  ".join(f"{v:>10}" for v in same[0].values()))
                continue
            moving = method.startswith("latent")
            given = {"generator": generator, "z": z[usable], "labels": labels[usable]} if moving else {}
            began = time.perf_counter()
            result = decoys.decoy(
                rng.stream(key, method),
                clean[usable],
                classifier,
                epsilon=epsilon,
                method=method,
                detector=detector,
                **given,
                **settings,
            )
            seconds = time.perf_counter() - began
            read = scores.confidences_of(onlooker, result.images).argmax(axis=1) == labels[usable]
            share = lambda x: f"{100 * np.mean(x):.2f}"  # noqa: E731
            row = (
                target,
                method,
                epsilon,
                args.seed,
                args.n,
                int(usable.sum()),
                share(result.confidence < 0.5),
                share(result.rejected),
                share(result.label_kept),
                share(result.rejected & result.label_kept),
                share(read),
                int(result.queries.mean()),
                f"{seconds:.1f}",
            )
            done.append(dict(zip(COLUMNS, map(str, row), strict=True)))
            files.write_csv(args.out, COLUMNS, [row.values() for row in done])
            print("  ".join(f"{v!s:>10}" for v in row), flush=True)
    print(args.out)
    return cli.DONE


if __name__ == "__main__":
    sys.exit(cli.execute(main))
