"""From an `Experiment`, plain data, to a run: the one place where names become networks and data."""

from collections.abc import Iterable
from pathlib import Path

from cudfkd import data, models, teachers
from cudfkd.callbacks import Callback
from cudfkd.config import Experiment
from cudfkd.engine import distill
from cudfkd.runs import Run


def run(
    experiment: Experiment, run_dir: Path | None = None, *, resume: bool = False, callbacks: Iterable[Callback] = ()
) -> Run:
    """Builds what the experiment names and distills, evaluating on *dev*. Raises as `cudfkd.distill`."""
    about = data.info(experiment.data)
    teacher = teachers.load_teacher(experiment.data, experiment.teacher, experiment.teacher_seed)
    config = experiment.distill
    if config.mean is None:
        config = config.model_copy(update={"mean": about.mean, "std": about.std})
    student = models.build(experiment.student, about.num_classes, about.channels, about.image_size, config.seed)
    dev = data.load(experiment.data, "dev")
    return distill(teacher, student, config, evaluate_on=dev, run_dir=run_dir, resume=resume, callbacks=callbacks)
