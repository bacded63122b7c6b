"""surrogate_mlp: a small MLP, one of the classifiers that transferable decoys are made against.

Source      ours
Command     python -m experiments.train --recipe surrogate_mlp --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        22 s for 9,360 steps
Result      seed 0: 98.26 % of test images; shipped as `surrogate-mlp`; what decoys do to it: docs/decoys.md
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="surrogate_mlp",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 20,  # 20 epochs
    batch_size=128,
    family="mlp",
    classifier={"hidden": 128, "depth": 2},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=2.0,
    rotation=10.0,
    noise=0.0,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
