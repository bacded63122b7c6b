"""surrogate_noisy: a small CNN that has seen noise, one of the classifiers that transferable decoys are made against.

Source      ours
Command     python -m experiments.train --recipe surrogate_noisy --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        163 s for 4,680 steps
Result      seed 0: 99.51 % of test images; shipped as `surrogate-noisy`; what decoys do to it: docs/decoys.md
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="surrogate_noisy",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 10,  # 10 epochs
    batch_size=128,
    family="cnn",
    classifier={"width_14": 24, "width_7": 48, "hidden": 96},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=1.0,
    rotation=10.0,
    noise=0.5,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
