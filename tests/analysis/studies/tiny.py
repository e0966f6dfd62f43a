"""A study of two cases that take a second each."""

from analysis.studies import study
from analysis.studies.study import Study

VALUES = {
    "name": "tiny",
    "purpose": {"question": "Does it run?"},
    "base": {
        "probe": 1,
        "latents": 8,
        "experiment": {
            "distill": {
                "epochs": 1, "steps_per_epoch": 2, "batch_size": 8, "curriculum": {"on_dead": "warn"},
                "options": {"latent_dim": 8, "generator_width": 2},
            }
        },
    },
    "axes": {
        "granularity": {
            name: {"experiment": {"distill": {"curriculum": {"granularity": name}}}} for name in ("sample", "none")
        }
    },
    "seeds": [0, 1],
}  # fmt: skip


def tiny(**changes) -> Study:
    return study.of(study.merged(VALUES, changes))
