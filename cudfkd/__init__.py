"""Data-free knowledge distillation with CuDFKD's easy-to-hard curriculum.

import cudfkd
run = cudfkd.distill(teacher, student, cudfkd.DistillConfig(epochs=25), evaluate_on=dataset)
print(run.history["accuracy"])
"""

from cudfkd.base.errors import ConfigError, CudfkdError, DataError, TrainingError
from cudfkd.base.version import __version__
from cudfkd.config import DistillConfig, Experiment
from cudfkd.curriculum import Curriculum
from cudfkd.engine.distillation import distill
from cudfkd.engine.experiments import get_or_run
from cudfkd.engine.progress import Progress
from cudfkd.engine.run import Run, load_run
from cudfkd.evaluation import evaluate
from cudfkd.teachers import load_teacher
from cudfkd.teachers.training import train_teacher

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
