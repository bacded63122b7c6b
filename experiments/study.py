"""What the studies on decoys share: classifiers by role, the data set that they were trained on, generated images."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cganjax import checkpoint, cli, data, pixels
from cganjax.commands._same_images import default_generator, described, same, shipped_for
from cganjax.data import known
from cganjax.spec import ImageSpec


class Real(NamedTuple):
    """Real test images of the data set that classifiers were trained on."""

    name: str  # of the data set
    spec: ImageSpec
    images: np.ndarray  # float32 [N, H, W, C] in [0, 1]
    labels: np.ndarray  # int [N]
    calibration: int  # thresholds are made from so many, the first; figures are about the others

    @property
    def noun(self) -> str:
        """What the images are called in tables: "digits" if their classes are the ten digits."""
        return "digits" if self.spec.class_names == tuple("0123456789") else "images"


def of_role(role: str, spec: ImageSpec | None = None) -> list[str]:
    """The shipped checkpoints of a role.

    Args:
      role: "surrogate", "target" or "onlooker".
      spec: of the images that they take; None for those of the default generator.

    Raises:
      UserError: there are none.
    """
    if spec is None:
        spec = known.recorded(checkpoint.checkpoints()[checkpoint.DEFAULT]["data"])
    names = shipped_for(spec, role)
    if not names:
        raise cli.UserError(f"no shipped {role} takes images of {described(spec)}: give --{role}s")
    return names


def real_images(classifiers: Mapping[str, object], data_dir: str | None) -> Real:
    """The test images of the data set that all these classifiers were trained on.

    Raises:
      UserError: they were trained on images of different shapes or classes, or the data set is not found.
    """
    (first, one), *others = classifiers.items()
    for name, classifier in others:
        if not same(classifier.spec, one.spec):
            raise cli.UserError(
                f"{name} takes images of {described(classifier.spec)} and {first} of {described(one.spec)}: give "
                "classifiers of the same data"
            )
    test = data.of_card(one.card, "test", data_dir)
    return Real(
        test.name, test.spec, pixels.rest_to_unit(test.images), test.labels, calibration_images(len(test.images))
    )


def calibration_images(n: int) -> int:
    """How many of n test images to make thresholds from: `data.CALIBRATION`, and at most half."""
    return min(data.CALIBRATION, n // 2)


def generator(name: str | None, spec: ImageSpec):
    """A conditional generator of images of a spec, by default the shipped one; UserError if it is none."""
    from cganjax import sampling

    name = name or default_generator(spec, "--checkpoint, a generator of such images")
    found = sampling.load(name)
    if found.num_classes is None:
        raise cli.UserError(f"{name} takes no labels: give a conditional generator (--checkpoint)")
    if not same(found.spec, spec):
        raise cli.UserError(
            f"{name} generates images of {described(found.spec)}, and the classifiers take {described(spec)}: give a "
            "generator of those (--checkpoint)"
        )
    return found


def kmnist(real: Real, data_dir: str | None, *, lacking: str) -> np.ndarray | None:
    """KMNIST test images [N, H, W, C] in [0, 1] as strange ones; None, with a note, if they do not serve.

    Args:
      lacking: what the table then does not have, for the note.
    """
    its = known.KNOWN["kmnist"]
    if real.spec.shape != its.shape:
        reason = f"its images are {its}; the classifiers take {real.spec}"
    elif real.name == "kmnist":
        reason = "the classifiers were trained on it"
    else:
        try:
            return pixels.rest_to_unit(data.load("kmnist", "test", data_dir).images[: data.CALIBRATION])
        except cli.UserError as error:
            reason = str(error)
    print(f"note: no {lacking} of KMNIST ({reason})", file=sys.stderr)
    return None


def add_checkpoint(parser: cli.Parser) -> None:
    """`--checkpoint`, the generator of the images that are attacked."""
    parser.add_argument(
        "--checkpoint",
        type=cli.name_or_path,
        metavar="GENERATOR",
        help="a conditional generator: a shipped name or a run (default: the shipped one of the classifiers' images; "
        f"of digits {checkpoint.DEFAULT})",
    )


def add_table(parser: cli.Parser, out: str) -> None:
    """`--seed`, `--out`, `--overwrite`, `--backend` and `--data-dir`, of a study that writes one table."""
    parser.add_argument("--seed", type=int, default=0, help="of the images and the attacks (default: 0)")
    parser.add_argument("--out", type=cli.path, default=Path(out), help=f"default: {out}")
    cli.add_overwrite(parser)
    cli.add_backend(parser)
    parser.add_argument(
        "--data-dir", type=cli.path, metavar="DIR", help="where the data set lies (default: as for train)"
    )
