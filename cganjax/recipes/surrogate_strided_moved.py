"""surrogate_strided_moved: the CNN of strides, trained with shifts and rotations alone; a surrogate of decoys.

Source      ours
Command     python -m experiments.train --recipe surrogate_strided_moved --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        44 s for 1,872 steps
Result      seed 2: 98.39 % of test images; shipped as `surrogate-strided-moved`; see docs/decoys.md
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="surrogate_strided_moved",
    dataset="mnist",
    split="train",
    seed=2,
    steps=468 * 4,  # 4 epochs
    batch_size=128,
    family="all_cnn",
    classifier={"width": 16},
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
