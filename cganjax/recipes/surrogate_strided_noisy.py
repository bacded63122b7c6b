"""surrogate_strided_noisy: a small batch-normalised CNN of strides, trained with noise; a surrogate of decoys.

Source      ours
Command     python -m experiments.train --recipe surrogate_strided_noisy --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        43 s for 1,872 steps
Result      seed 5: 98.49 % of test images; shipped as `surrogate-strided-noisy`; see docs/decoys.md
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="surrogate_strided_noisy",
    dataset="mnist",
    split="train",
    seed=5,
    steps=468 * 4,  # 4 epochs
    batch_size=128,
    family="all_cnn",
    classifier={"width": 16},
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
