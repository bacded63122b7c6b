"""target_wide: a wide CNN with batch norm and augmentation, that no shipped decoy was made against.

Source      ours
Command     python -m experiments.train --recipe target_wide --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        1,218 s for 2,808 steps
Result      seed 0: 99.40 % of test images; shipped as `target-wide`; what decoys do to it: docs/decoys.md
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="target_wide",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 6,  # 6 epochs
    batch_size=128,
    family="wide_cnn",
    classifier={"width_14": 48, "width_7": 96, "hidden": 128},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=2.0,
    rotation=15.0,
    noise=0.0,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
