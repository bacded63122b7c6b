"""target_robust: a CNN trained against an adversary at epsilon 0.3, that no shipped decoy was made against.

Source      ours
Command     python -m experiments.train --recipe target_robust --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        2,296 s for 7,020 steps
Result      seed 0: 98.90 % of test images; shipped as `target-robust`; what decoys do to it: docs/decoys.md.
            FGSM (python -m experiments.robustness target-robust) at epsilon .1, .2, .3: 97.77, 96.02, 94.12 %
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="target_robust",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 15,  # 15 epochs
    batch_size=128,
    family="cnn",
    classifier={"width_14": 32, "width_7": 64, "hidden": 256},
    learning_rate=2e-3,
    weight_decay=0.001,
    epoch_steps=468,
    shift=0.0,
    rotation=0.0,
    noise=0.0,
    adversary_epsilon=0.3,
    adversary_steps=10,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
