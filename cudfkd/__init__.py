"""Data-free knowledge distillation with CuDFKD's easy-to-hard curriculum.

import cudfkd
run = cudfkd.distill(teacher, student, cudfkd.DistillConfig(epochs=25), evaluate_on=dataset)
print(run.history["accuracy"])
"""

from cudfkd.config import DistillConfig, Experiment
from cudfkd.curriculum import Curriculum
from cudfkd.engine import distill
from cudfkd.errors import ConfigError, CudfkdError, DataError, TrainingError
from cudfkd.evaluation import evaluate
from cudfkd.experiments import get_or_run
from cudfkd.progress import Progress
from cudfkd.runs import Run, load_run
from cudfkd.teachers import load_teacher
from cudfkd.training import train_teacher
from cudfkd.version import __version__

__all__ = [
    "ConfigError",
    "CudfkdError",
    "Curriculum",
    "DataError",
    "DistillConfig",
    "Experiment",
    "Progress",
    "Run",
    "TrainingError",
    "__version__",
    "distill",
    "evaluate",
    "get_or_run",
    "load_run",
    "load_teacher",
    "train_teacher",
]
