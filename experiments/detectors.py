"""How well detectors distinguish real from strange images: `python -m experiments.detectors --data-dir DIR`.

Every detector that fits a classifier is calibrated on the first 5,000 test images (in the data's canonical order) of
the data set that it was trained on, to accept the fraction --accept of them; `mahalanobis` and `knn` learn from one
half of these and take the threshold from the other. The figures are about the other test images, which no classifier
was trained on and no detector has seen, against as many KMNIST characters (for images of their shape), images of
uniform noise, and generated images. Those last are a check: a detector that distinguishes them from real ones (AUROC
far from 50 %) detects the generator, not strangeness.

Each row of --out, a CSV, is in percent: the real images accepted, the strange images accepted, AUROC, AUPR with strange
images as the positive class, and FPR95: the strange images accepted at the threshold that accepts 95 % of real ones.
"""

import sys
import time
from pathlib import Path

import numpy as np

from cganjax import cli, files
from cganjax.waiting import Waiting
from experiments import study

KMNIST, NOISE = "KMNIST", "uniform noise"
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
QUICK = {"calibrated": 1000, "compared": 500}


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.detectors", description=__doc__)
    p.add_argument(
        "classifiers",
        type=cli.name_or_path,
        nargs="*",
        metavar="CLASSIFIER",
        help="shipped names or runs (default: all shipped whose role is target)",
    )
    p.add_argument("--accept", type=float, default=0.95, help="fraction of real images accepted (default: 0.95)")
    p.add_argument(
        "--quick",
        action="store_true",
        help="calibrate on 1,000 images (more for a detector that needs more), compare 500 of each kind",
    )
    study.add_checkpoint(p)
    p.add_argument("--seed", type=int, default=0, help="of the noise and the generated images (default: 0)")
    p.add_argument("--out", type=cli.path, default=Path("runs/detectors.csv"), help="default: runs/detectors.csv")
    cli.add_overwrite(p)
    cli.add_backend(p)
    p.add_argument("--data-dir", type=cli.path, metavar="DIR", help="where the data sets lie (default: as for train)")
    return p


def main(argv=None) -> int:
    """Calibrate, compare, tabulate."""
    args = parser().parse_args(argv)
    cli.check_seed(args.seed)
    if not 0 < args.accept < 1:
        raise cli.UserError(f"--accept is {args.accept}: give a fraction between 0 and 1, such as 0.95")
    names = [*dict.fromkeys(args.classifiers)] or study.of_role("target")
    files.new_file(args.out, args.overwrite)
    cli.choose_backend(args.backend)
    from cganjax import sampling
    from cganjax.decoys import detectors

    classifiers = {name: sampling.load_classifier(name) for name in names}
    real = study.real_images(classifiers, args.data_dir)
    generator = study.generator(args.checkpoint, real.spec)
    seen, others = real.images[: real.calibration], real.images[real.calibration :]
    others = others[: QUICK["compared"] if args.quick else real.calibration]
    strange = _strange(len(others), real, generator, args)
    rows = []
    print(f"{'':16}{'':12}{'real':>9}" + "".join(f"{against:>27}" for against in strange))
    print(f"{'classifier':16}{'detector':12}{'accepted':>9}" + f"{'AUROC':>11}{'AUPR':>8}{'FPR95':>8}" * len(strange))
    for name, classifier in classifiers.items():
        began = time.perf_counter()
        wanted = QUICK["calibrated"] if args.quick else None
        calibrated_on = (seen, real.labels[: real.calibration])
        compared = detectors.compare(classifier, *calibrated_on, others, strange, args.accept, wanted=wanted)
        for detector, found in compared:
            if not found:
                print(f"note: no row of {detector} for {name}: it needs more than {len(seen)} images", file=sys.stderr)
                continue
            common = {"classifier": name, "seed": args.seed, "accept": 100 * args.accept}
            rows += [common | row._asdict() for row in found]
            figures = "".join(f"{r.auroc:11.2f}{r.aupr:8.2f}{r.fpr95:8.2f}" for r in found)
            print(f"{name:16}{detector:12}{found[0].real_accepted:9.2f}{figures}", flush=True)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    files.write_csv(args.out, COLUMNS, [[row[c] for c in COLUMNS] for row in rows], places=2)
    print(args.out)
    return cli.DONE


def _strange(n: int, real: study.Real, generator, args) -> dict[str, np.ndarray]:
    """Name -> images [n, H, W, C] in [0, 1]; KMNIST only if it serves."""
    import jax

    from cganjax import rng, sampling

    found, key = {}, rng.root(args.seed)
    kmnist = study.kmnist(real, args.data_dir, lacking="column")
    if kmnist is not None:
        found[KMNIST] = kmnist[:n]
    found[NOISE] = np.asarray(jax.random.uniform(rng.stream(key, "noise"), (n, *real.spec.shape)))
    labels = np.arange(n) % real.spec.num_classes
    with Waiting(f"generating {n:,} images"):
        generated = sampling.sample(rng.stream(key, "digits"), labels, checkpoint=generator)
    found[f"generated {real.noun}"] = np.asarray(generated)
    return found


if __name__ == "__main__":
    sys.exit(cli.execute(main))
