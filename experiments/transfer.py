"""Do decoys deceive classifiers that took no part? `python -m experiments.transfer --data-dir DIR`.

Generated digits are attacked through the shipped surrogates, each alone and all together, and shown to the targets,
which no attack has seen: the share that each detector rejects, and the share still read as the digit. Counted are the
digits that the target read right and its detector accepted before. Beside them: random noise of the same size, real
KMNIST characters, the attack on the target itself (white box), and onlookers, who took no part either and have seen
noise: what do they read?

Thresholds accept 95 % of the first 5,000 test images. Writes into --out: table.csv, heat-map.png, curve.png, sheet.png,
and decoys/, from which an interrupted run goes on.
"""

import dataclasses
import inspect
import io
import re
import sys
import time
import zlib
from pathlib import Path

import numpy as np

from cganjax import checkpoint, cli, data, files, pixels, report

EPSILONS = (0.05, 0.1, 0.15, 0.2)
ALL, NOISE, WHITE = "all surrogates", "random noise", "white box"


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.transfer", description=__doc__)
    p.add_argument("--n", type=int, help="generated digits (default: 1200)")
    p.add_argument(
        "--epsilons", type=float, nargs="+", metavar="E", help="largest changes of a pixel (default: .05 .1 .15 .2)"
    )
    for role in ("surrogate", "target", "onlooker"):
        p.add_argument(
            f"--{role}s",
            nargs="+",
            metavar="CLASSIFIER",
            help=f"shipped names or runs (default: all shipped whose role is {role})",
        )
    p.add_argument(
        "--quick",
        action="store_true",
        help="all surrogates together, one detector; by default 200 digits, epsilon .1 and .2",
    )
    p.add_argument("--outside", action="store_true", help="also targets of scikit-learn, ONNX Runtime and PyTorch")
    p.add_argument("--seed", type=int, default=0, help="of the digits and the attacks (default: 0)")
    p.add_argument("--out", type=Path, help="a folder (default: runs/transfer, or runs/transfer-quick)")
    cli.add_overwrite(p)
    cli.add_backend(p)
    p.add_argument("--data-dir", metavar="DIR", help="where mnist/ and kmnist/ lie (default: as for train)")
    return p


@dataclasses.dataclass
class Judge:
    """A target or onlooker with its detectors, and what it says of the clean digits."""

    name: str
    classifier: object
    detectors: dict  # the first one reads the confidence itself
    read: np.ndarray  # bool [N], clean digits that are read as asked
    accepted: dict  # bool [N] for each detector

    @property
    def confidence(self) -> str:
        """The detector by which targets are compared: msp, of sigmoids max_sigmoid."""
        return next(iter(self.detectors))

    def reads(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        """The share still read as asked, of all digits that were before the attack, and their number."""
        from cganjax import scores

        kept = scores.confidences_of(self.classifier, images).argmax(axis=1) == labels
        return kept[self.read].mean(), int(self.read.sum())

    def row(self, images: np.ndarray, labels: np.ndarray) -> dict:
        """(rejected, read, counted) for each detector: shares of those that were usable before the attack."""
        from cganjax import scores

        kept = scores.confidences_of(self.classifier, images).argmax(axis=1) == labels
        found = {}
        for name, detector in self.detectors.items():
            usable = self.read & self.accepted[name]
            rejected = np.asarray(detector.rejects(images))
            found[name] = (rejected[usable].mean(), kept[usable].mean(), int(usable.sum()))
        return found


def main(argv=None) -> int:
    """Calibrate, attack, judge, draw."""
    args = parser().parse_args(argv)
    cli.check_seed(args.seed)
    args.n = args.n if args.n is not None else 200 if args.quick else 1200
    args.epsilons = args.epsilons or ((0.1, 0.2) if args.quick else EPSILONS)
    args.out = args.out or Path("runs/transfer-quick" if args.quick else "runs/transfer")
    if args.n < 10 or not all(0 <= e <= 1 for e in args.epsilons):
        raise cli.UserError(f"--n {args.n} and --epsilons {args.epsilons}: give at least 10, and sizes within 0 and 1")
    names = {role: getattr(args, f"{role}s") or _of_role(role) for role in ("surrogate", "target", "onlooker")}
    both = {*names["surrogate"]} & {*names["target"], *names["onlooker"]}
    if both:
        raise cli.UserError(f"{', '.join(sorted(both))}: given as surrogate and as target or onlooker; keep them apart")
    cli.choose_backend(args.backend)
    from cganjax import rng, sampling

    test = data.load("mnist", "test", args.data_dir)
    real = pixels.rest_to_unit(test.images)
    labels = np.arange(args.n) % 10
    key = rng.root(args.seed)
    clean = np.asarray(sampling.sample(rng.stream(key, "digits"), labels))
    loaded = {name: sampling.load_classifier(name) for group in names.values() for name in group}
    targets = {name: loaded[name] for name in names["target"]}
    pictures = ("table.csv", "heat-map.png", "curve.png", "sheet.png")
    written = {name: files.new_file(args.out / name, args.overwrite) for name in pictures}
    store = files.writable_folder(args.out / "decoys")
    if args.outside:
        from experiments import other_libraries

        train = data.load("mnist", "train", args.data_dir)
        images, digits = pixels.rest_to_unit(train.images[:10000]), train.labels[:10000]
        targets |= {name: train_model(images, digits) for name, train_model in other_libraries.installed().items()}

    judges = [_judge(name, c, real, test.labels, clean, labels, args.quick) for name, c in targets.items()]
    onlookers = [_judge(name, loaded[name], real, test.labels, clean, labels, True) for name in names["onlooker"]]
    rows = _of_real_images(judges, real, args.data_dir) + _of_clean_digits(judges, onlookers)
    surrogates = {name: loaded[name] for name in names["surrogate"]}
    plan = _plan(surrogates, targets, args.quick)
    shown, began = {}, time.perf_counter()
    for i, (attack, (classifiers, on)) in enumerate(plan.items()):
        for epsilon in args.epsilons:
            images = _decoys(store, key, clean, attack, classifiers, epsilon, args)
            shown[attack, epsilon] = images
            for judge in judges:
                if on is None or judge.name == on:
                    rows += [_line(attack, epsilon, judge.name, d, *f) for d, f in judge.row(images, labels).items()]
            if on is None:
                rows += [_line(attack, epsilon, o.name, "reads", np.nan, *o.reads(images, labels)) for o in onlookers]
        left = (time.perf_counter() - began) / (i + 1) * (len(plan) - i - 1)
        print(f"{attack}: {len(args.epsilons)} sizes, {left / 60:.1f} min left", flush=True)

    _print_table(rows, args.epsilons, judges, onlookers)
    files.write_csv(written["table.csv"], rows[0], [row.values() for row in rows])
    _heat_map(written["heat-map.png"], rows, max(args.epsilons), plan, judges)
    _curve(written["curve.png"], rows, args.epsilons, judges, onlookers)
    rows_of_sheet = [clean, *(shown[ALL, e] for e in args.epsilons), shown[NOISE, max(args.epsilons)]]
    sheet = np.concatenate([images[:20] for images in rows_of_sheet])
    report.save_png(written["sheet.png"], report.grid(sheet, 20))
    print("\n".join(map(str, written.values())))
    return cli.DONE


def _of_role(role: str) -> list[str]:
    names = [name for name, card in checkpoint.checkpoints().items() if role in card["roles"]]
    if not names:
        raise cli.UserError(f"no shipped checkpoint has the role {role}: give --{role}s")
    return names


def _judge(name, classifier, real, real_labels, clean, labels, first_alone) -> Judge:
    from cganjax import scores
    from cganjax.decoys import detectors

    fitting = detectors.fitting(classifier)
    made = {
        d: detectors.calibrate(d, classifier, real[: data.CALIBRATION], labels=real_labels[: data.CALIBRATION])
        for d in (fitting[:1] if first_alone else fitting)
    }
    read = scores.confidences_of(classifier, clean).argmax(axis=1) == labels
    return Judge(name, classifier, made, read, {d: ~np.asarray(x.rejects(clean)) for d, x in made.items()})


def _line(attack, epsilon, judge, detector, rejected, read, counted) -> dict:
    return {
        "attack": attack,
        "epsilon": epsilon,
        "judge": judge,
        "detector": detector,
        "rejected": 100 * rejected,
        "read": 100 * read,
        "counted": counted,
    }


def _of_real_images(judges, real, data_dir) -> list[dict]:
    """Real test images that no threshold was made from, and real characters that are no digits."""
    try:
        strange = pixels.rest_to_unit(data.load("kmnist", "test", data_dir).images[: data.CALIBRATION])
    except cli.UserError as error:
        print(f"note: no row of KMNIST ({error})", file=sys.stderr)
        strange = None
    rows = []
    for judge in judges:
        for name, detector in judge.detectors.items():
            for what, images in (("real digits", real[data.CALIBRATION :]), ("real KMNIST", strange)):
                if images is not None:
                    rejected = np.asarray(detector.rejects(images)).mean()
                    rows.append(_line(what, 0.0, judge.name, name, rejected, np.nan, len(images)))
    return rows


def _of_clean_digits(judges, onlookers) -> list[dict]:
    """Generated digits before any attack: those rejected or misread are left out of all that follows."""
    rows = []
    for judge in judges:
        rows += [
            _line("generated, no attack", 0.0, judge.name, name, 1 - ok.mean(), judge.read.mean(), len(ok))
            for name, ok in judge.accepted.items()
        ]
    return rows + [
        _line("generated, no attack", 0.0, o.name, "reads", np.nan, o.read.mean(), len(o.read)) for o in onlookers
    ]


def _plan(surrogates, targets, quick) -> dict:
    """Attack -> (what is attacked, the only target that it is shown to or None)."""
    plan = {NOISE: (None, None), ALL: ([*surrogates.values()], None)}
    if not quick:
        plan |= {name: ([classifier], None) for name, classifier in surrogates.items()}
        plan |= {f"{WHITE}: {name}": (c, name) for name, c in targets.items() if hasattr(c, "params")}
    return plan


def _decoys(store, key, clean, attack, classifiers, epsilon, args) -> np.ndarray:
    """The decoys of one attack and size, made now or before."""
    import jax

    from cganjax import decoys, rng
    from cganjax.decoys import attacks
    from cganjax.decoys.attacks import norms

    # Decoys of other digits, weights, classifiers or settings are others.
    victims = [] if classifiers is None else classifiers if isinstance(classifiers, list) else [classifiers]
    stamp = zlib.crc32(b"".join(np.asarray(x).tobytes() for c in victims for x in jax.tree.leaves(c.weights)))
    method = attacks.METHODS[decoys.TRANSFER if isinstance(classifiers, list) else "pgd"].attack
    stamp = zlib.crc32(clean.tobytes() + str(inspect.signature(method)).encode(), stamp)
    path = store / f"{re.sub('[^A-Za-z0-9_]+', '-', attack)}-{epsilon:g}-n{args.n}-s{args.seed}-{stamp:08x}.npz"
    if path.exists():
        with np.load(path) as kept:
            return kept["images"]
    attack_key = rng.stream(key, attack)
    if classifiers is None:
        bounds = norms.Bounds(clean, np.full(len(clean), epsilon, np.float32), np.ones_like(clean))
        images = np.asarray(norms.random_start(rng.items(attack_key, len(clean)), "linf", bounds))
    else:
        images = decoys.decoy(attack_key, clean, classifiers, epsilon=epsilon).images
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=images)
    files.write_file(path, buffer.getvalue())
    return images


def _by_confidence(rows, judges) -> list[dict]:
    """The rows by which targets are compared, and those of the onlookers."""
    first = {j.name: j.confidence for j in judges}
    return [r for r in rows if r["detector"] in ("reads", first.get(r["judge"]))]


def _print_table(rows, epsilons, judges, onlookers) -> None:
    """By the detector of the confidence: rejected / still read, in percent."""
    found = {(r["attack"], r["epsilon"], r["judge"]): r for r in _by_confidence(rows, judges)}
    names = [j.name for j in (*judges, *onlookers)]
    print("\nby each target's highest confidence (msp, of sigmoids max_sigmoid):")
    print(f"{'rejected / read, %':32}" + "".join(f"{n[:15]:>16}" for n in names))
    for attack, epsilon in dict.fromkeys((r["attack"], r["epsilon"]) for r in rows):
        cells = []
        for name in names:
            row = found.get((attack, epsilon, name))
            parts = () if row is None else ("-" if np.isnan(row[k]) else f"{row[k]:.1f}" for k in ("rejected", "read"))
            cells.append(f"{' / '.join(parts):>16}")
        print(f"{attack + (f' {epsilon:g}' if epsilon else ''):32}" + "".join(cells))


def _heat_map(path: Path, rows, epsilon, plan, judges) -> None:
    shown = [(j.name, d) for j in judges for d in j.detectors]
    attacks = ["real KMNIST", *(a for a in plan if not a.startswith(WHITE))]
    found = {(r["attack"], r["judge"], r["detector"]): r["rejected"] for r in rows if r["epsilon"] in (0.0, epsilon)}
    values = np.array([[found.get((a, *s), np.nan) for a in attacks] for s in shown])
    report.save_heat_map(
        path,
        values,
        [f"{j}, {d}" for j, d in shown],
        attacks,
        x="attack",
        y="target, detector",
        title=f"rejected, %, at epsilon {epsilon:g}",
    )


def _curve(path: Path, rows, epsilons, judges, onlookers) -> None:
    def values(attack, judge, what):
        found = {
            r["epsilon"]: r[what] for r in _by_confidence(rows, judges) if (r["attack"], r["judge"]) == (attack, judge)
        }
        return [found[e] for e in epsilons]

    lines = []
    for i, judge in enumerate(judges):
        lines.append((judge.name, values(ALL, judge.name, "rejected"), {"color": f"C{i}"}))
        lines.append((f"_{judge.name}", values(NOISE, judge.name, "rejected"), {"color": f"C{i}", "linestyle": ":"}))
    lines += [(f"{o.name} reads", values(ALL, o.name, "read"), {"color": "k", "linestyle": "--"}) for o in onlookers]
    report.save_lines(
        path,
        epsilons,
        lines,
        x="epsilon (pixels in [0, 1])",
        y="rejected by the confidence (dotted: random noise), %",
        title="decoys made through all surrogates, shown to targets that took no part",
    )


if __name__ == "__main__":
    sys.exit(cli.execute(main))
