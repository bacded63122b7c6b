"""Do decoys deceive classifiers that the attack has not seen? `python -m experiments.transfer --data-dir DIR`.

Generated images are attacked through the shipped surrogates, each alone and all together, and shown to the targets,
which no attack has seen. The table holds the percentage that each detector rejects, and the percentage still classified
as the label, of the images that the target classified correctly and its detector accepted before. It also has rows for
random noise of the same size, real KMNIST characters (for images of their shape), and the attack on the target itself
(white box). Held-out classifiers, which took no part and were trained on noisy images, stand in for a person: how many
decoys do they still classify as the label?

Thresholds accept 95 % of the first 5,000 test images of the data set that the targets were trained on. The command
writes into --out: table.csv, heat-map.png, curve.png, sheet.png, and decoys/, from which an interrupted run goes on.
"""

import sys
import time
from pathlib import Path

import numpy as np

from cganjax import cli, data, files, pixels, report
from cganjax.waiting import Waiting
from experiments import study

EPSILONS = (0.05, 0.1, 0.15, 0.2)
ROLES = {"surrogate": "surrogates", "target": "targets", "onlooker": "held-out classifiers"}


def parser() -> cli.Parser:
    """The command's flags."""
    p = cli.Parser(prog="python -m experiments.transfer", description=__doc__)
    p.add_argument("--n", type=int, help="generated images (default: 1200)")
    p.add_argument(
        "--epsilons", type=float, nargs="+", metavar="E", help="largest changes of a pixel (default: .05 .1 .15 .2)"
    )
    for role, what in ROLES.items():
        p.add_argument(
            f"--{role}s",
            type=cli.name_or_path,
            nargs="+",
            metavar="CLASSIFIER",
            help=f"{what}: shipped names or runs (default: all shipped whose role is {role})",
        )
    study.add_checkpoint(p)
    p.add_argument(
        "--quick",
        action="store_true",
        help="all surrogates together and one detector; by default with 200 images, epsilon .1 and .2",
    )
    p.add_argument("--outside", action="store_true", help="also targets of scikit-learn, ONNX Runtime and PyTorch")
    p.add_argument("--seed", type=int, default=0, help="of the images and the attacks (default: 0)")
    p.add_argument("--out", type=cli.path, help="a folder (default: runs/transfer, or runs/transfer-quick)")
    cli.add_overwrite(p)
    cli.add_backend(p)
    p.add_argument("--data-dir", type=cli.path, metavar="DIR", help="where the data sets lie (default: as for train)")
    return p


def main(argv=None) -> int:
    """Calibrate, attack, measure, draw."""
    args = parser().parse_args(argv)
    _check(args)
    cli.choose_backend(args.backend)
    names = _names(args)
    from cganjax import memory, rng, sampling
    from cganjax.decoys import transfer

    loaded = {name: sampling.load_classifier(name) for group in names.values() for name in group}
    real = study.real_images(loaded, args.data_dir)
    generator = study.generator(args.checkpoint, real.spec)
    spec = generator.spec
    memory.check_images(f"--n is {args.n}", args.n, spec.shape)
    labels, key = np.arange(args.n) % spec.num_classes, rng.root(args.seed)
    with Waiting(f"generating {args.n:,} images"):
        clean = np.asarray(sampling.sample(rng.stream(key, "digits"), labels, checkpoint=generator))
    pictures = ("table.csv", "heat-map.png", "curve.png", "sheet.png")
    written = {name: files.new_file(args.out / name, args.overwrite) for name in pictures}
    store = transfer.Store(files.writable_folder(args.out / "decoys"), key, clean, args.seed)
    of_role = {role: {name: loaded[name] for name in group} for role, group in names.items()}
    classifiers = of_role["target"] | (_of_other_libraries(loaded, args.data_dir) if args.outside else {})

    def made(name, classifier, confidence_only):
        seen = (real.images[: real.calibration], real.labels[: real.calibration], clean, labels)
        with Waiting(f"calibrating the detectors of {name}"):
            return transfer.target(name, classifier, *seen, confidence_only=confidence_only)

    targets = [made(name, c, args.quick) for name, c in classifiers.items()]
    held_out = [made(name, c, True) for name, c in of_role["onlooker"].items()]
    strange = study.kmnist(real, args.data_dir, lacking="row")
    unattacked = {f"real {real.noun}": real.images[real.calibration :]}
    rows = transfer.rows_of_real(targets, unattacked | ({} if strange is None else {"real KMNIST": strange}))
    rows += transfer.rows_of_clean(targets, held_out)
    plan = transfer.plan(of_role["surrogate"], classifiers, quick=args.quick)
    shown, began = {}, time.perf_counter()
    for i, attack in enumerate(plan):
        for epsilon in args.epsilons:
            with Waiting(f"{attack.name}, epsilon {epsilon:g}: compiling, then attacking") as waiting:
                images = shown[attack.name, epsilon] = store.decoys(attack, epsilon)
                waiting.now(f"{attack.name}, epsilon {epsilon:g}: showing the decoys to the classifiers")
                rows += transfer.rows_of_attack(attack, epsilon, images, labels, targets, held_out)
        left = (time.perf_counter() - began) / (i + 1) * (len(plan) - i - 1)
        print(f"{attack.name}: {len(args.epsilons)} sizes, {left / 60:.1f} min left", flush=True)

    _print_table(rows, targets, held_out)
    files.write_csv(written["table.csv"], transfer.COLUMNS, rows)
    _heat_map(written["heat-map.png"], rows, max(args.epsilons), plan, targets)
    _curve(written["curve.png"], rows, args.epsilons, targets, held_out)
    attacked = [shown[transfer.ALL, e] for e in args.epsilons]
    columns = min(20, args.n)
    sheet = np.concatenate([x[:columns] for x in (clean, *attacked, shown[transfer.NOISE, max(args.epsilons)])])
    decoys = [f"decoys, epsilon {e:g}" for e in args.epsilons]
    report.save_grid(
        written["sheet.png"],
        sheet,
        columns,
        spec,
        row_names=["generated", *decoys, f"random noise, {max(args.epsilons):g}"],
        column_names=[report.short(spec.class_names[k]) for k in labels[:columns]],
        title="Generated images by class, their decoys made through all surrogates, and noise of the same size",
    )
    print("\n".join(map(str, written.values())))
    return cli.DONE


def _check(args) -> None:
    """Fill in the defaults, and check the flags."""
    cli.check_seed(args.seed)
    args.n = args.n if args.n is not None else 200 if args.quick else 1200
    args.epsilons = args.epsilons or ((0.1, 0.2) if args.quick else EPSILONS)
    args.out = args.out or Path("runs/transfer-quick" if args.quick else "runs/transfer")
    if args.n < 10 or not all(0 <= e <= 1 for e in args.epsilons):
        raise cli.UserError(f"--n {args.n} and --epsilons {args.epsilons}: give at least 10, and sizes within 0 and 1")


def _names(args) -> dict[str, list[str]]:
    """The classifiers of each role: those that the user named, and shipped ones of the same images."""
    from cganjax import sampling

    given = {role: getattr(args, f"{role}s") for role in ROLES}
    first = next((names[0] for names in given.values() if names), None)
    spec = None if first is None else sampling.load_classifier(first).spec
    names = {role: given[role] or study.of_role(role, spec) for role in ROLES}
    both = {*names["surrogate"]} & {*names["target"], *names["onlooker"]}
    if both:
        raise cli.UserError(
            f"{', '.join(sorted(both))}: given as surrogates and as targets or held-out classifiers: give each once"
        )
    return names


def _of_other_libraries(loaded, data_dir) -> dict:
    """Classifiers of other libraries, trained on the first 10,000 training images."""
    from experiments import other_libraries

    train = data.of_card(next(iter(loaded.values())).card, "train", data_dir)
    images, labels = pixels.rest_to_unit(train.images[:10000]), train.labels[:10000]
    return {name: train_model(images, labels) for name, train_model in other_libraries.installed().items()}


def _print_table(rows, targets, held_out) -> None:
    """By the detector of the confidence: rejected / still classified as the label, in percent."""
    from cganjax.decoys import transfer

    found = {(r.attack, r.epsilon, r.target): r for r in transfer.by_confidence(rows, targets)}
    names = [t.name for t in (*targets, *held_out)]
    print("\nby each target's highest confidence (msp, or max_sigmoid for sigmoids):")
    print(f"{'rejected / classified, %':32}" + "".join(f"{n[:15]:>16}" for n in names))
    for attack, epsilon in dict.fromkeys((r.attack, r.epsilon) for r in rows):
        cells = []
        for name in names:
            row = found.get((attack, epsilon, name))
            parts = () if row is None else ("-" if np.isnan(x) else f"{x:.1f}" for x in (row.rejected, row.classified))
            cells.append(f"{' / '.join(parts):>16}")
        print(f"{attack + (f' {epsilon:g}' if epsilon else ''):32}" + "".join(cells))


def _heat_map(path: Path, rows, epsilon, plan, targets) -> None:
    from cganjax.decoys import transfer

    shown = [(t.name, d) for t in targets for d in t.detectors]
    strange = ["real KMNIST"] if any(r.attack == "real KMNIST" for r in rows) else []
    attacks = strange + [a.name for a in plan if not a.name.startswith(transfer.WHITE)]
    found = {(r.attack, r.target, r.detector): r.rejected for r in rows if r.epsilon in (0.0, epsilon)}
    values = np.array([[found.get((a, *s), np.nan) for a in attacks] for s in shown])
    report.save_heat_map(
        path,
        values,
        [f"{t}, {d}" for t, d in shown],
        attacks,
        x="attack",
        y="target, detector",
        title=f"rejected, %, at epsilon {epsilon:g}",
    )


def _curve(path: Path, rows, epsilons, targets, held_out) -> None:
    from cganjax.decoys import transfer

    compared = transfer.by_confidence(rows, targets)

    def values(attack, target, what):
        found = {r.epsilon: getattr(r, what) for r in compared if (r.attack, r.target) == (attack, target)}
        return [found[e] for e in epsilons]

    lines = []
    for i, t in enumerate(targets):
        lines.append((f"{t.name}: rejected", values(transfer.ALL, t.name, "rejected"), {"color": f"C{i}"}))
        noise = values(transfer.NOISE, t.name, "rejected")
        # One entry of the legend stands for all dotted lines.
        label = "dotted: random noise, rejected" if i == len(targets) - 1 else f"_{t.name}"
        lines.append((label, noise, {"color": f"C{i}", "linestyle": ":"}))
    for h in held_out:
        kept = values(transfer.ALL, h.name, "classified")
        lines.append((f"{h.name}: still classified", kept, {"color": "k", "linestyle": "--"}))
    report.save_lines(
        path,
        epsilons,
        lines,
        x="epsilon (pixels in [0, 1])",
        y="rejected by the confidence, or still classified, %",
        title="decoys made through all surrogates, shown to targets that took no part",
    )


if __name__ == "__main__":
    sys.exit(cli.execute(main))
