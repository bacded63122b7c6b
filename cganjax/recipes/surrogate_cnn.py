"""surrogate_cnn: a small plain CNN, one of the classifiers that transferable decoys are made against.

Source      ours
Command     python -m experiments.train --recipe surrogate_cnn --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        69 s for 3,744 steps
Result      seed 0: 99.24 % of test images; shipped as `surrogate-cnn`; what decoys do to it: docs/decoys.md
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="surrogate_cnn",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 8,  # 8 epochs
    batch_size=128,
    family="cnn",
    classifier={"width_14": 16, "width_7": 32, "hidden": 64},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=0.0,
    rotation=0.0,
    noise=0.0,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
