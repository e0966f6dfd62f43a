"""From an `Experiment`, plain data, to a run: the one place where names become networks and data."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import nn

from cudfkd import data, methods, models, teachers
from cudfkd.base.errors import DataError
from cudfkd.base.files import read_json, write_json
from cudfkd.base.ranks import Ranks
from cudfkd.callbacks import Callback
from cudfkd.config import DistillConfig, Experiment
from cudfkd.engine.loop import distill
from cudfkd.engine.run import Run, load_run
from cudfkd.runs.context import Context
from cudfkd.runs.records import SUMMARY

FILE = "experiment.json"


def run(
    experiment: Experiment,
    run_dir: Path | None = None,
    *,
    resume: bool = False,
    callbacks: Iterable[Callback] = (),
    stop_after: int | float | None = None,
    data_root: Path | None = None,
) -> Run:
    """Builds what the experiment names and distills, evaluating on *dev*; `data_root` as in `cudfkd.data.load`.

    The run folder also gets experiment.json, which says what the names were. Raises as `cudfkd.distill`.
    """
    teacher, student, config = build(experiment)
    dev = data.load(experiment.data, "dev", data_root)
    real = methods.get(config.method).ABOUT.real_images
    train = data.load(experiment.data, "train", data_root) if real else None
    watching = [*callbacks, _Names(experiment, run_dir)] if run_dir else callbacks
    return distill(
        teacher, student, config, evaluate_on=dev, run_dir=run_dir, resume=resume, callbacks=watching,
        stop_after=stop_after, train_on=train,
    )  # fmt: skip


def get_or_run(experiment: Experiment, root: str | Path, callbacks: Iterable[Callback] = ()) -> Run:
    """The finished run of this description in folder `root`, found by its hash; if there is none, it is run now.

    A run that was interrupted is resumed. Evaluation is on the data set's *dev* split.

    Raises:
        as `cudfkd.distill`.
    """
    folder = Path(root) / experiment.key
    if Ranks.here().size == 1 and (folder / SUMMARY).exists():
        return load_run(folder)
    return run(experiment, folder, resume=True, callbacks=callbacks)


def build(experiment: Experiment) -> tuple[nn.Module, nn.Module, DistillConfig]:
    """The teacher and a new student of an experiment, and its configuration with the data set's mean and std.

    Raises:
        ConfigError, DataError: as `cudfkd.teachers.locate`.
    """
    about, config = data.info(experiment.data), experiment.distill
    teacher = teachers.read_teacher(teachers.locate(experiment.data, experiment.teacher, experiment.teacher_seed))
    if config.mean is None:
        config = config.model_copy(update={"mean": about.mean, "std": about.std})
    student = models.build(experiment.student, about.num_classes, about.channels, about.image_size, config.seed)
    return teacher, student, config


def names(run_dir: Path) -> dict[str, Any]:
    """Data, teacher and teacher_seed of the run in a folder. Whether they are still here is another question.

    Raises:
        DataError: the folder does not say, as that of a run of networks from outside, or the file is damaged.
    """
    file = run_dir / FILE
    if not file.exists():
        raise DataError(f"{run_dir} does not say which teacher and data it used (no {FILE}): name them")
    found = read_json(file)
    for name, kind in (("data", str), ("teacher", str), ("teacher_seed", int)):
        if not isinstance(found.get(name), kind):
            raise DataError(f"{file} is damaged ({name} is not what a run writes): name the teacher and its data")
    return {name: found[name] for name in ("data", "teacher", "teacher_seed")}


class _Names(Callback):
    def __init__(self, experiment: Experiment, run_dir: Path) -> None:
        self._names, self._path = experiment.model_dump(mode="json"), run_dir / FILE

    def before_run(self, ctx: Context) -> None:
        ctx.ranks.lead(lambda: write_json(self._path, self._names))
