"""digits_judge: a residual CNN that reads generated digits for their accuracy; the extractor's independent fellow.

Source      ours
Command     python -m experiments.train --recipe digits_judge --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        2,923 s for 5,616 steps
Result      seed 102: 99.44 % of test images; shipped as `digits-judge`: it reads generated digits in `cganjax.evaluate`
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="digits_judge",
    dataset="mnist",
    split="train",
    seed=102,
    steps=468 * 12,  # 12 epochs
    batch_size=128,
    family="residual",
    classifier={"width": 24, "blocks": 2},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=1.5,
    rotation=10.0,
    noise=0.0,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
