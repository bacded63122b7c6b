"""Turn images into decoys: a person still recognises them, and a classifier's detector rejects them.

decoy 3141592653                                       against label-score's own discriminator, by its gradient
decoy 3141 --target lenet5 --epsilon 0.15              against another classifier
decoy 3141 --target lenet5 --surrogates all --epsilon 0.2   made against others alone: the target is not looked at
decoy 0123456789 --method coordinate --epsilon 0.2 --no-keep-label   as the original did, by queries
decoy "cat, dog" --target runs/mine --checkpoint runs/mine-gan   of a generator and a classifier of yours
decoy "cat, dog" --target runs/mine --real             real test images of the data that the target was trained on
decoy --target runs/mine --images photos/ scan.png     files of yours

The command prints for each image the highest confidence before and after the attack, the class that has it, and whether
the detector rejects it. It writes a sheet with the images, the decoys, their difference and the confidence of every
class. The threshold accepts 95 % of real test images. It comes from the target's card. With --data-dir, or if the card
has none, it is calibrated on the data set that the target was trained on.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cganjax import checkpoint as ckpt
from cganjax import cli, files
from cganjax.commands._same_images import check_same_images, described, shipped_for
from cganjax.commands.sample import file_stem, written
from cganjax.waiting import Waiting

SIZE = 0.1  # epsilon, if none is given


def parser(prog: str) -> cli.Parser:
    """The command's flags."""
    from cganjax.decoys import attacks  # which starts no backend
    from cganjax.decoys.attacks import norms, objectives

    p = cli.Parser(prog=prog, description=__doc__)
    p.add_argument(
        "labels", nargs="*", metavar="LABELS", help='classes to generate, by number or name: 3141, 3 1 4 1, "cat, dog"'
    )
    p.add_argument(
        "--real",
        action="store_true",
        help="attack real test images of the classes LABELS, of the data set that the target was trained on",
    )
    p.add_argument(
        "--images",
        type=cli.path,
        nargs="+",
        metavar="FILE",
        help="attack these: pictures, folders of pictures, IDX, .npz or .npy files, resized as by classify",
    )
    p.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="of each folder or file of many of --images, only the first N images (default: 20)",
    )
    p.add_argument(
        "--target",
        type=cli.name_or_path,
        default="label-score",
        metavar="CLASSIFIER",
        help="the classifier to deceive: a shipped name or a run (default: label-score)",
    )
    p.add_argument(
        "--surrogates",
        type=cli.name_or_path,
        nargs="+",
        metavar="CLASSIFIER",
        help="attack these, and only evaluate on the target; all: the shipped surrogates of the target's images",
    )
    p.add_argument("--epsilon", type=float, help=f"largest change of a pixel in [0, 1] (default: {SIZE}; latent: 0)")
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
        help="keep the arg max of what is attacked (default: yes)",
    )
    p.add_argument("--ink-only", action="store_true", help="change only pixels that have ink (grey images alone)")
    p.add_argument("--minimal", action="store_true", help="the smallest epsilon that gets each image rejected")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the method: steps=40")
    p.add_argument("--detector", metavar="NAME", help="see cganjax.calibrate (default: msp; for sigmoids max_sigmoid)")
    p.add_argument("--accept", type=float, help="with --data-dir: the fraction of real images accepted (default: 0.95)")
    p.add_argument(
        "--data-dir",
        type=cli.path,
        metavar="DIR",
        help="where the target's data set lies: for --real, and to calibrate the detector anew",
    )
    p.add_argument(
        "--checkpoint",
        type=cli.name_or_path,
        metavar="GENERATOR",
        help=f"generates the images (default: a shipped one of the target's images; of digits {ckpt.DEFAULT})",
    )
    p.add_argument("--seed", type=int, default=0, help="the same seed gives the same images and decoys (default: 0)")
    p.add_argument(
        "--out", type=cli.path, metavar="PATH", help="a .png file or a folder (default: a new file in decoys/)"
    )
    cli.add_overwrite(p)
    cli.add_backend(p)
    return p


class _Loaded(NamedTuple):
    """What the arguments name."""

    target: Any
    attacked: dict[str, Any]  # classifiers by name: the surrogates, or the target
    several: bool  # surrogates are attacked
    chosen: Any  # the `_attacked_images.Chosen`


class _Images(NamedTuple):
    """What was made."""

    clean: np.ndarray  # [N, H, W, C]
    before: np.ndarray  # the target's confidences [N, K] of them
    after: np.ndarray  # and of the decoys
    result: Any  # the `DecoyResult`


def main(argv=None, prog: str = "python -m cganjax decoy") -> int:
    """Generate or read, attack, evaluate, print."""
    args = parser(prog).parse_args(argv)
    cli.check_seed(args.seed)
    if args.surrogates and args.minimal:
        raise cli.UserError("--minimal asks the target's detector, --surrogates leaves the target out: give one")
    if args.accept is not None and not args.data_dir:
        raise cli.UserError("--accept needs real images, and the card's threshold accepts 95 %: give --data-dir too")
    settings = _settings(args.set)
    cli.choose_backend(args.backend)
    from cganjax import report

    loaded = _load(args)
    options = _options(args, loaded, settings)
    path, chosen = _out_file(args, loaded.chosen.stem)
    with Waiting("reading the detector's threshold, or calibrating it") as waiting:
        detector = _detector(args, loaded.target)
        waiting.now("compiling, then attacking")
        made = _attack(args, loaded, detector, options)
    _print(args, loaded, detector, made)
    rejected, spec = made.result.rejected, loaded.target.spec

    def save(path: Path) -> None:
        report.save_decoys(
            path,
            made.clean,
            made.result.images,
            made.before,
            made.after,
            rejected,
            rule=_rule(args, detector),
            least=_least(detector),
            spec=spec,
        )

    print(written(path, save, args.overwrite or chosen))
    return cli.DONE


def _load(args) -> _Loaded:
    """The target, what is attacked and the images that were chosen, all of the same images."""
    from cganjax import sampling
    from cganjax.commands import _attacked_images as attacked_images

    target = sampling.load_classifier(args.target)
    surrogates = {name: sampling.load_classifier(name) for name in _surrogates(args, target.spec)}
    check_same_images(surrogates, target, args.target, "give surrogates of the target's images")
    chosen = attacked_images.choose(args, target)
    return _Loaded(target, surrogates or {args.target: target}, bool(surrogates), chosen)


def _options(args, loaded: _Loaded, settings: dict) -> dict:
    """The keyword arguments of `decoys.decoy` that the user chose, checked."""
    from cganjax import decoys

    epsilon = args.epsilon if args.epsilon is not None else 0.0 if args.method == "latent" else SIZE
    options = {name: getattr(args, name) for name in ("method", "objective", "norm", "minimal", "ink_only")}
    options["epsilon"] = epsilon
    shape = (len(loaded.chosen.names), *loaded.target.spec.shape)
    decoys.check(shape, several=loaded.several, detectors=1, settings=settings, **options)
    return options | {"keep_label": args.keep_label} | settings


def _attack(args, loaded: _Loaded, detector, options: dict) -> _Images:
    """Make the images and attack them; the confidences are the target's."""
    from cganjax import decoys, rng, scores

    target, attacked, several, chosen = loaded
    clean, latents = chosen.made()
    moving = latents if args.method.startswith("latent") else {}
    result = decoys.decoy(
        rng.stream(rng.root(args.seed), "decoy"),
        clean,
        [*attacked.values()] if several else target,
        detector=detector,
        evaluated_on=target if several else None,
        **moving,
        **options,
    )
    before, after = (np.asarray(scores.confidences_of(target, images)) for images in (clean, result.images))
    return _Images(clean, before, after, result)


def _print(args, loaded: _Loaded, detector, made: _Images) -> None:
    """One line per image, and one about all."""
    result, before, after = made.result, made.before, made.after
    names = loaded.target.spec.class_names
    for i, name in enumerate(loaded.chosen.names):
        enough = f"{result.epsilon[i]:.3f}" if np.isfinite(result.epsilon[i]) else "not enough"
        size = f"  epsilon {enough}" if args.minimal else ""
        print(
            f"{name}: confidence {before[i].max():.4f} (class {names[before[i].argmax()]}) -> "
            f"{after[i].max():.4f} (class {names[after[i].argmax()]})  "
            f"{'rejected' if result.rejected[i] else 'accepted'}"
            f"{', rejected before the attack too' if result.clean_rejected[i] else ''}{size}"
        )
    print(_rule(args, detector))
    fresh = ~np.asarray(result.clean_rejected)
    print(
        f"{(result.rejected & fresh).sum()} of {fresh.sum()} that were accepted before are rejected by {detector.name} "
        f"of {args.target}; it classifies {result.label_kept.sum()} of {len(fresh)} as before; "
        f"{int(np.mean(result.queries))} queries per image, of {', '.join(loaded.attacked)}"
    )


def _rule(args, detector) -> str:
    """What "rejected" means: the detector's threshold, as a confidence if it goes by the confidence."""
    who, accepted = (
        f"{detector.name} of {args.target}",
        f"it accepts {100 * (args.accept or 0.95):g} % of real test images",
    )
    least = _least(detector)
    if least is None:
        return f"{who} rejects an image whose score is above {detector.threshold:.4g}; {accepted}"
    shown = f"{least:.4f}" if least <= 0.9999 else f"1 - {1 - least:.1e}"
    return f"{who} rejects an image whose highest confidence is below {shown}; {accepted}"


def _least(detector) -> float | None:
    """The lowest highest-confidence that a detector accepts; None if it does not go by the confidence."""
    from cganjax.decoys import detectors

    return 1 - detector.threshold if detector.name in detectors.CONFIDENCE.values() else None


def _settings(texts) -> dict:
    """KEY=VALUE texts, as numbers if they are numbers."""
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


def _surrogates(args, spec) -> list[str]:
    """The names given as surrogates, each once; "all" stands for the shipped ones of images of the spec."""
    shipped = shipped_for(spec, "surrogate")
    if "all" in (args.surrogates or ()) and not shipped:
        raise cli.UserError(
            f"no shipped surrogate takes images of {described(spec)}, as {args.target} does: train classifiers on its "
            "data set, and give them by --surrogates"
        )
    names = [*dict.fromkeys(n for s in args.surrogates or () for n in (shipped if s == "all" else [s]))]
    if args.target in names:
        raise cli.UserError(f"{args.target} is the target and among the surrogates: leave it out of one of them")
    return names


def _detector(args, target):
    """A detector with the threshold of the target's card, or calibrated on the target's data set.

    Without --data-dir, a target whose card has no thresholds is calibrated on the data that its card names, if they are
    still there.
    """
    from cganjax import data, pixels
    from cganjax.decoys import detectors

    name = args.detector or detectors.fitting(target)[0]
    accept = 0.95 if args.accept is None else args.accept
    if not 0 < accept < 1:
        raise cli.UserError(f"--accept is {accept}: give a fraction between 0 and 1, such as 0.95")
    detectors.entry(name, target.scores)
    test = _test_images(target, args.data_dir)
    if test is None:
        return detectors.from_card(name, target)
    n = min(data.CALIBRATION, len(test.images) // (2 if args.real else 1))  # --real attacks some of the others
    needed = detectors.images_needed(name, target, target.image_shape)
    if n < needed:
        raise cli.UserError(
            f"{name} of {args.target} needs {needed} images, {test.name} has {n} to calibrate on: take another detector"
        )
    if not args.data_dir:
        print(f"the card of {args.target} has no thresholds: {name} is calibrated on {test.name}, from {test.source}")
    real = pixels.rest_to_unit(test.images[:n])
    return detectors.calibrate(name, target, real, accept, labels=test.labels[:n])


def _test_images(target, data_dir: str | None):
    """The test images to calibrate on, or None if the card has thresholds, or neither thresholds nor data."""
    from cganjax import data

    if data_dir:
        return data.of_card(target.card, "test", data_dir)
    if target.card.get("thresholds"):
        return None
    try:
        return data.of_card(target.card, "test")
    except cli.UserError:
        return None


def _out_file(args, images: str) -> tuple[Path, bool]:
    """Where to write, and whether the user named the file itself."""
    name = f"{file_stem(args.target)}-{images}-s{args.seed}.png"
    if args.out is None or args.out.is_dir() or not args.out.suffix:
        return files.writable_folder(args.out or Path("decoys")) / name, False
    if args.out.suffix.lower() != ".png":
        raise cli.UserError(f"--out is {args.out}: give a name that ends in .png, or a folder")
    return files.new_file(args.out, args.overwrite), True


if __name__ == "__main__":
    sys.exit(cli.execute(main))
