"""onlooker: a classifier that has seen noise and stands for a person: does a decoy still read as the digit?.

Source      ours
Command     python -m experiments.train --recipe onlooker --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        489 s for 2,808 steps
Result      seed 0: 99.38 % of test images; shipped as `onlooker`; what decoys do to it: docs/decoys.md
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="onlooker",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 6,  # 6 epochs
    batch_size=128,
    family="residual",
    classifier={"width": 24, "blocks": 1},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=1.0,
    rotation=10.0,
    noise=0.6,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
