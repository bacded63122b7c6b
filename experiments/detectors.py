"""How well detectors tell real digits from strange images: `python -m experiments.detectors --data-dir DIR`.

Every detector that fits a classifier is calibrated on the first 5,000 test images (in the data's canonical order), to
accept the share --accept of them; `mahalanobis` and `knn` learn from one half of these and take the threshold from the
other. Judged are the other 5,000, which no classifier was trained on and no detector has seen, against 5,000 KMNIST
characters, as many images of uniform noise, and digits drawn by `mnist`. Those last are a check: a detector that tells
them from real ones (AUROC far from 50 %) sees the generator, not strangeness.

A row of --out, a CSV, in percent: the real images accepted, the strange images accepted, AUROC, AUPR with strange
images as the positive class, and FPR95: the strange images accepted where 95 % of the judged real ones are.
"""

import sys
import time
from pathlib import Path

import numpy as np

from cganjax import checkpoint, cli, data, files, pixels

KMNIST, NOISE, GENERATED = "KMNIST", "uniform noise", "generated digits"
COLUMNS = (
    "classifier",
    "detector",
    "against",
    "calibrated",
    "real",
    "strange",
    "seed",
    "accept",
    "real_accepted",
    "strange_accepted",
    "auroc",
    "aupr",
    "fpr95",
)


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.detectors", description=__doc__)
    p.add_argument(
        "classifiers",
        nargs="*",
        metavar="CLASSIFIER",
        help="shipped names or runs (default: all shipped whose role is target)",
    )
    p.add_argument("--accept", type=float, default=0.95, help="share of real images accepted (default: 0.95)")
    p.add_argument("--quick", action="store_true", help="1,000 images to calibrate on, 500 of each kind to judge")
    p.add_argument("--seed", type=int, default=0, help="of the noise and the generated digits (default: 0)")
    p.add_argument("--out", type=Path, default=Path("runs/detectors.csv"), help="default: runs/detectors.csv")
    cli.add_overwrite(p)
    cli.add_backend(p)
    p.add_argument("--data-dir", metavar="DIR", help="where mnist/ and kmnist/ lie (default: as for train)")
    return p


def main(argv=None) -> int:
    """Calibrate, judge, tabulate."""
    args = parser().parse_args(argv)
    cli.check_seed(args.seed)
    if not 0 < args.accept < 1:
        raise cli.UserError(f"--accept is {args.accept}: give a share between 0 and 1, such as 0.95")
    names = [*dict.fromkeys(args.classifiers)] or _targets()
    files.new_file(args.out, args.overwrite)
    cli.choose_backend(args.backend)
    from cganjax import sampling

    classifiers = {name: sampling.load_classifier(name) for name in names}
    test = data.load("mnist", "test", args.data_dir)
    shape = test.images.shape[1:]
    for name, classifier in classifiers.items():
        if classifier.image_shape != shape or classifier.num_classes != test.num_classes:
            raise cli.UserError(
                f"{name} tells {classifier.num_classes} classes of images {classifier.image_shape}: "
                f"expected {test.num_classes} of {shape}, as MNIST has them"
            )
    calibrated, judged = (1000, 500) if args.quick else (data.CALIBRATION, data.CALIBRATION)
    real = pixels.rest_to_unit(test.images[:calibrated]), test.labels[:calibrated]
    others = pixels.rest_to_unit(test.images[data.CALIBRATION : data.CALIBRATION + judged])
    strange = _strange(judged, shape, args)
    rows = []
    print(f"{'':16}{'':12}{'real':>9}" + "".join(f"{against:>27}" for against in strange))
    print(f"{'classifier':16}{'detector':12}{'accepted':>9}" + f"{'AUROC':>11}{'AUPR':>8}{'FPR95':>8}" * len(strange))
    for name, classifier in classifiers.items():
        began = time.perf_counter()
        for found in judge(classifier, *real, others, strange, args.accept):
            common = {
                "classifier": name,
                "calibrated": calibrated,
                "real": judged,
                "seed": args.seed,
                "accept": 100 * args.accept,
            }
            rows += [common | {"strange": len(strange[r["against"]])} | r for r in found]
            figures = "".join(f"{r['auroc']:11.2f}{r['aupr']:8.2f}{r['fpr95']:8.2f}" for r in found)
            print(f"{name:16}{found[0]['detector']:12}{found[0]['real_accepted']:9.2f}{figures}", flush=True)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    files.write_csv(args.out, COLUMNS, [[row[c] for c in COLUMNS] for row in rows], places=2)
    print(args.out)
    return cli.DONE


def judge(classifier, real, labels, others, strange, accept):
    """For each fitting detector its rows, one a kind of strange images; shares in percent.

    Args:
      classifier: images [N, H, W, C] in [0, 1] -> numbers [N, K], with what `detectors.fitting` asks of it.
      real: [N, H, W, C] to calibrate on, and labels int [N] of them.
      others: [M, H, W, C] real images that are in no other argument.
      strange: name -> images [M', H, W, C].
      accept: the share of real images accepted, in (0, 1).
    """
    from cganjax.decoys import detectors

    for name in detectors.fitting(classifier):
        detector = detectors.calibrate(name, classifier, real, accept, labels=labels)
        inside = np.asarray(detector.score(others))
        rows = []
        for against, images in strange.items():
            outside = np.asarray(detector.score(images))
            shares = {
                "real_accepted": np.mean(inside <= detector.threshold),
                "strange_accepted": np.mean(outside <= detector.threshold),
                **detectors.figures(inside, outside),
            }
            rows.append({"detector": name, "against": against} | {k: 100 * float(v) for k, v in shares.items()})
        yield rows


def _targets() -> list[str]:
    names = [name for name, card in checkpoint.checkpoints().items() if "target" in card["roles"]]
    if not names:
        raise cli.UserError("no shipped checkpoint has the role target: name classifiers")
    return names


def _strange(n, shape, args) -> dict[str, np.ndarray]:
    """Name -> images [n, H, W, C] in [0, 1]; KMNIST where it is there."""
    import jax

    from cganjax import rng, sampling

    found, key = {}, rng.root(args.seed)
    try:
        found[KMNIST] = pixels.rest_to_unit(data.load("kmnist", "test", args.data_dir).images[:n])
    except cli.UserError as error:
        print(f"note: no column of KMNIST ({error})", file=sys.stderr)
    found[NOISE] = np.asarray(jax.random.uniform(rng.stream(key, "noise"), (n, *shape)))
    found[GENERATED] = np.asarray(sampling.sample(rng.stream(key, "digits"), np.arange(n) % 10))
    return found


if __name__ == "__main__":
    sys.exit(cli.execute(main))
