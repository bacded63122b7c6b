"""The classifiers of this project, as one table: small networks trained on augmented images by Adam.

Most are shipped: those by which generated images are evaluated, and the surrogates and targets of decoys. A row says
what differs between them, and the time and the result of the training; this is what they have in common:

Source      ours
Command     python -m experiments.train --recipe NAME --backend cpu --data-dir DIR
            (--dataset X trains it on other images: every family here but `mlp` takes any height and width that are
            divisible by 4, and `mlp` takes any; 1 or 3 channels, 2 to 1,000 classes)
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
"""

from collections.abc import Mapping
from typing import Any

from cganjax.training.algorithms.augmented import AugmentedClassification

CONFIGS: dict[str, AugmentedClassification] = {}
PAGES: dict[str, str] = {}
_EPOCH = 468  # steps: 60,000 images in batches of 128


def _row(name: str, page: str, *, epochs: int, family: str, classifier: Mapping[str, int], **changes: Any) -> None:
    """Enter one recipe; `page` says what it is, the time it took and the result."""
    settings = {
        "dataset": "mnist",
        "split": "train",
        "seed": 0,
        "batch_size": 128,
        "learning_rate": 2e-3,
        "weight_decay": 0.01,
        "epoch_steps": _EPOCH,
        "shift": 0.0,
        "rotation": 0.0,
        "noise": 0.0,
        "adversary_epsilon": 0.0,
        "adversary_steps": 1,
        "log_every": 117,
        "checkpoint_every": _EPOCH,
        "keep": 1,
    }
    networks = {"steps": _EPOCH * epochs, "family": family, "classifier": classifier}
    CONFIGS[name] = AugmentedClassification(recipe=name, **settings | networks | changes)
    PAGES[name] = page


# --- evaluators: `cganjax.evaluate` compares their features, and takes their answers for the accuracy -----------------

_row(
    "digits_v1",
    """A wide CNN whose features compare real and generated digits: the extractor `digits-v1`.

    Time        1,558 s for 5,616 steps
    Result      seed 101: 99.53 % of test images; shipped as `digits-v1`
    """,
    seed=101,
    epochs=12,
    family="wide_cnn",
    classifier={"width_14": 32, "width_7": 64, "hidden": 128},
    shift=1.5,
    rotation=10.0,
)
_row(
    "digits_judge",
    """A residual CNN that classifies generated digits for their accuracy; it is independent of the extractor.

    Time        2,923 s for 5,616 steps
    Result      seed 102: 99.44 % of test images; shipped as `digits-judge`
    """,
    seed=102,
    epochs=12,
    family="residual",
    classifier={"width": 24, "blocks": 2},
    shift=1.5,
    rotation=10.0,
)

# --- surrogates: transferable decoys are made against them; what decoys do to each is in docs/results/decoys.md ------

_row(
    "surrogate_cnn",
    """A small plain CNN, trained without augmentation.

    Time        69 s for 3,744 steps
    Result      seed 0: 99.24 % of test images; shipped as `surrogate-cnn`
    """,
    epochs=8,
    family="cnn",
    classifier={"width_14": 16, "width_7": 32, "hidden": 64},
)
_row(
    "surrogate_mlp",
    """A small MLP, trained with shifts and rotations.

    Time        22 s for 9,360 steps
    Result      seed 0: 98.26 % of test images; shipped as `surrogate-mlp`
    """,
    epochs=20,
    family="mlp",
    classifier={"hidden": 128, "depth": 2},
    shift=2.0,
    rotation=10.0,
)
_row(
    "surrogate_noisy",
    """A small CNN, trained with noise.

    Time        163 s for 4,680 steps
    Result      seed 0: 99.51 % of test images; shipped as `surrogate-noisy`
    """,
    epochs=10,
    family="cnn",
    classifier={"width_14": 24, "width_7": 48, "hidden": 96},
    shift=1.0,
    rotation=10.0,
    noise=0.5,
)
_row(
    "surrogate_robust",
    """A small CNN, trained against an adversary.

    Time        443 s for 2,808 steps
    Result      seed 0: 99.35 % of test images; shipped as `surrogate-robust`
    """,
    epochs=6,
    family="cnn",
    classifier={"width_14": 24, "width_7": 48, "hidden": 96},
    adversary_epsilon=0.1,
    adversary_steps=4,
)
_row(
    "surrogate_strided_moved",
    """A small batch-normalised CNN of strides, trained with shifts and rotations.

    Time        44 s for 1,872 steps
    Result      seed 2: 98.39 % of test images; shipped as `surrogate-strided-moved`
    """,
    seed=2,
    epochs=4,
    family="all_cnn",
    classifier={"width": 16},
    shift=2.0,
    rotation=15.0,
)
_row(
    "surrogate_strided_noisy",
    """The CNN of strides, trained with noise.

    Time        43 s for 1,872 steps
    Result      seed 5: 98.49 % of test images; shipped as `surrogate-strided-noisy`
    """,
    seed=5,
    epochs=4,
    family="all_cnn",
    classifier={"width": 16},
    shift=1.0,
    rotation=10.0,
    noise=0.5,
)
_row(
    "surrogate_strided_robust",
    """The CNN of strides, trained against an adversary.

    Time        190 s for 1,872 steps
    Result      seed 3: 98.13 % of test images; shipped as `surrogate-strided-robust`
    """,
    seed=3,
    epochs=4,
    family="all_cnn",
    classifier={"width": 16},
    adversary_epsilon=0.1,
    adversary_steps=3,
)

# --- targets: no shipped decoy was made against them; what decoys do to each is in docs/results/decoys.md ------------

_row(
    "target_residual",
    """A small residual CNN, trained with shifts and rotations.

    Time        338 s for 2,808 steps
    Result      seed 0: 99.44 % of test images; shipped as `target-residual`
    """,
    epochs=6,
    family="residual",
    classifier={"width": 24, "blocks": 2},
    shift=1.0,
    rotation=10.0,
)
_row(
    "target_robust",
    """A CNN trained against an adversary at epsilon 0.3.

    Time        2,296 s for 7,020 steps
    Result      seed 0: 98.90 % of test images; shipped as `target-robust`. FGSM (python -m experiments.robustness
                target-robust) at epsilon .1, .2, .3: 97.77, 96.02, 94.12 %
    """,
    epochs=15,
    family="cnn",
    classifier={"width_14": 32, "width_7": 64, "hidden": 256},
    weight_decay=0.001,
    adversary_epsilon=0.3,
    adversary_steps=10,
)
_row(
    "target_wide",
    """A wide CNN with batch norm, trained with shifts and rotations.

    Time        1,218 s for 2,808 steps
    Result      seed 0: 99.40 % of test images; shipped as `target-wide`
    """,
    epochs=6,
    family="wide_cnn",
    classifier={"width_14": 48, "width_7": 96, "hidden": 128},
    shift=2.0,
    rotation=15.0,
)
_row(
    "onlooker",
    """A residual CNN trained with noise. It stands for a person: does it still classify a decoy as the digit?

    Time        489 s for 2,808 steps
    Result      seed 0: 99.38 % of test images; shipped as `onlooker`
    """,
    epochs=6,
    family="residual",
    classifier={"width": 24, "blocks": 1},
    shift=1.0,
    rotation=10.0,
    noise=0.6,
)
