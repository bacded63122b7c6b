"""Draw digits and turn them into decoys: a person still reads them, and a classifier's detector rejects them.

decoy 3141592653                                       against label-score's own discriminator, by its gradient
decoy 3141 --target lenet5 --epsilon 0.15              against another classifier
decoy 3141 --target lenet5 --surrogates all --epsilon 0.2   made against others alone: the target is not looked at
decoy 0123456789 --method coordinate --epsilon 0.2 --no-keep-label   as the original did, by queries

For each digit the highest confidence before and after, the class that has it, and whether the detector rejects it; and
a sheet with the clean images, the decoys, their difference and the confidence of every class. The threshold accepts
95 % of real test images; it comes from the checkpoint's card, or with --data-dir is calibrated anew.
"""

import argparse
import sys
from pathlib import Path

from cganjax import cli, files
from cganjax.commands.sample import parse_digits, unused


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    from cganjax.decoys import attacks  # which starts no backend
    from cganjax.decoys.attacks import norms, objectives

    p = cli.Parser(prog=prog, description=__doc__)
    p.add_argument("digits", nargs="+", metavar="DIGITS", help="digits to draw, as 3141 or 3 1 4 1")
    p.add_argument(
        "--target",
        default="label-score",
        metavar="CLASSIFIER",
        help="the classifier to deceive: a shipped name or a run (default: label-score)",
    )
    p.add_argument(
        "--surrogates",
        nargs="+",
        metavar="CLASSIFIER",
        help="attack these, and only judge by the target; all: the shipped surrogates",
    )
    p.add_argument("--epsilon", type=float, help="largest change of a pixel in [0, 1] (default: 0.1; latent: 0)")
    p.add_argument(
        "--method",
        default="auto",
        metavar="NAME",
        help=f"auto (pgd, or ensemble for surrogates), {', '.join(attacks.METHODS)}",
    )
    p.add_argument(
        "--objective", default="auto", metavar="NAME", help=f"what is lowered: auto, {', '.join(objectives.OBJECTIVES)}"
    )
    p.add_argument("--norm", default="linf", metavar="NAME", help=f"{' or '.join(norms.NORMS)} (default: linf)")
    p.add_argument(
        "--keep-label",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="hold the arg max of what is attacked (default: yes)",
    )
    p.add_argument("--ink-only", action="store_true", help="change only pixels that have ink")
    p.add_argument("--minimal", action="store_true", help="the smallest epsilon that gets each digit rejected")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the method: steps=40")
    p.add_argument("--detector", metavar="NAME", help="see cganjax.calibrate (default: msp, of sigmoids max_sigmoid)")
    p.add_argument("--accept", type=float, help="with --data-dir: the share of real images accepted (default: 0.95)")
    p.add_argument("--data-dir", metavar="DIR", help="where MNIST lies, to calibrate the detector anew")
    p.add_argument("--checkpoint", default="mnist", metavar="GENERATOR", help="draws the digits (default: mnist)")
    p.add_argument("--seed", type=int, default=0, help="the same seed draws the same digits and decoys (default: 0)")
    p.add_argument("--out", type=Path, metavar="PATH", help="a .png file, or a folder (default: a new file in decoys/)")
    cli.add_overwrite(p)
    cli.add_backend(p)
    return p


def main(argv=None, prog: str = "python -m cganjax decoy") -> int:
    """Draw, attack, judge, print."""
    args = parser(prog).parse_args(argv)
    cli.check_seed(args.seed)
    if args.surrogates and args.minimal:
        raise cli.UserError("--minimal asks the target's detector, --surrogates leaves the target out: give one")
    if args.accept is not None and not args.data_dir:
        raise cli.UserError("--accept needs real images, and the card's threshold accepts 95 %: give --data-dir too")
    settings = _settings(args.set)
    cli.choose_backend(args.backend)
    import numpy as np

    from cganjax import decoys, report, rng, sampling, scores
    from cganjax.decoys import attacks

    method = args.method if args.method != "auto" else decoys.TRANSFER if args.surrogates else "pgd"
    try:
        attacks.check(method, settings)
    except (ValueError, TypeError) as error:
        raise cli.UserError(str(error)) from None
    generator, target = sampling.load(args.checkpoint), sampling.load_classifier(args.target)
    if generator.num_classes is None:
        raise cli.UserError(f"{args.checkpoint} takes no labels: give a conditional generator")
    labels = parse_digits(" ".join(args.digits), generator.num_classes)
    path = _out_file(args)
    detector = _detector(args, target)
    attacked, against = target, args.target
    if args.surrogates:
        names = [*dict.fromkeys(n for s in args.surrogates for n in (_shipped_surrogates() if s == "all" else [s]))]
        if args.target in names:
            raise cli.UserError(f"{args.target} is the target and among the surrogates: leave it out of one of them")
        attacked, against = [sampling.load_classifier(name) for name in names], ", ".join(names)
    key = rng.root(args.seed)
    z = sampling.latents(rng.stream(key, "z"), len(labels), generator.latent_size)
    clean = np.asarray(generator(z, labels))
    epsilon = args.epsilon if args.epsilon is not None else 0.0 if args.method == "latent" else 0.1
    moving = {"generator": generator, "z": z, "labels": labels} if args.method.startswith("latent") else {}
    try:
        result = decoys.decoy(
            rng.stream(key, "decoy"),
            clean,
            attacked,
            epsilon=epsilon,
            method=args.method,
            objective=args.objective,
            norm=args.norm,
            keep_label=args.keep_label,
            ink_only=args.ink_only,
            minimal=args.minimal,
            detector=detector,
            **moving,
            **settings,
        )
    except (ValueError, TypeError) as error:
        raise cli.UserError(str(error)) from None
    rejected = np.asarray(result.rejected)
    before, after = (np.asarray(scores.confidences_of(target, images)) for images in (clean, result.images))
    for i, label in enumerate(labels):
        enough = f"{result.epsilon[i]:.3f}" if np.isfinite(result.epsilon[i]) else "not enough"
        size = f"  epsilon {enough}" if args.minimal else ""
        print(
            f"{label}: confidence {before[i].max():.4f} (class {before[i].argmax()}) -> {after[i].max():.4f} "
            f"(class {after[i].argmax()})  {'rejected' if rejected[i] else 'accepted'}"
            f"{', rejected before the attack too' if result.clean_rejected[i] else ''}{size}"
        )
    fresh = ~np.asarray(result.clean_rejected)
    kept = before.argmax(axis=1) == after.argmax(axis=1)
    print(
        f"{(rejected & fresh).sum()} of {fresh.sum()} that were accepted before are rejected by {detector.name} of "
        f"{args.target}; it reads {kept.sum()} of {len(kept)} as before; {int(np.mean(result.queries))} queries an "
        f"image, of {against}"
    )
    report.save_decoys(path, clean, result.images, before, after, rejected)
    print(path)
    return cli.DONE


def _settings(texts) -> dict:
    """KEY=VALUE texts as numbers where they are."""
    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise cli.UserError(f"--set {text}: give it as key=value")
        for kind in (int, float, str):
            try:
                settings[key] = kind(value)
                break
            except ValueError:
                continue
    return settings


def _shipped_surrogates() -> list[str]:
    from cganjax import checkpoint

    return [name for name, card in checkpoint.checkpoints().items() if "surrogate" in card["roles"]]


def _detector(args, target):
    """Calibrated on the first 5,000 test images, or with the threshold of the target's card."""
    from cganjax import data, pixels
    from cganjax.decoys import detectors

    name = args.detector or detectors.fitting(target)[0]
    try:
        if args.data_dir:
            test = data.load("mnist", "test", args.data_dir)
            real = pixels.rest_to_unit(test.images[: data.CALIBRATION])
            accept = 0.95 if args.accept is None else args.accept
            return detectors.calibrate(name, target, real, accept, labels=test.labels[: data.CALIBRATION])
        return detectors.from_card(name, target)
    except (ValueError, TypeError) as error:
        raise cli.UserError(str(error)) from None


def _out_file(args) -> Path:
    name = f"{args.target}-{''.join(''.join(args.digits).split())[:20]}-s{args.seed}.png".replace("/", "-")
    if args.out is None or args.out.is_dir() or not args.out.suffix:
        return unused(files.writable_folder(args.out or Path("decoys")) / name, args.overwrite)
    if args.out.suffix.lower() != ".png":
        raise cli.UserError(f"--out is {args.out}: give a name that ends in .png, or a folder")
    return files.new_file(args.out, args.overwrite)


if __name__ == "__main__":
    sys.exit(cli.execute(main))
