"""Runs of an `Experiment`, which is plain data: only this module turns names into networks and data."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import nn

from cudfkd import data, methods, models, teachers
from cudfkd.base.errors import DataError, Interrupted
from cudfkd.base.files import read_json, write_json
from cudfkd.base.ranks import Ranks
from cudfkd.callbacks import Callback
from cudfkd.config import DistillConfig, Experiment
from cudfkd.engine.distillation import distill
from cudfkd.engine.run import Run, load_run
from cudfkd.runs.context import Context
from cudfkd.runs.lock import BusyError, is_busy, wait_until_free
from cudfkd.runs.records import SUMMARY
from cudfkd.teachers import folders

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
    """Builds the networks and data that the experiment names, distills, and evaluates on the split *dev*.

    Warns if the data is a folder of images without *dev*: evaluation is then on its split *test*.
    The run folder also gets experiment.json, which holds the names. Raises the errors of `cudfkd.distill`.

    Arguments:
        experiment: the description.
        run_dir: see `cudfkd.distill`.
        resume: see `cudfkd.distill`.
        callbacks: see `cudfkd.distill`.
        stop_after: see `cudfkd.distill`.
        data_root: folder of the data, see `cudfkd.data.load`.
    """
    teacher, student, config = build(experiment)
    split = data.evaluation_split(experiment.data)
    if split != "dev":
        warnings.warn(f"{experiment.data} has no dev: evaluation is on its images in {split}/", stacklevel=2)
    dev = experiment.images(split, data_root)
    real = methods.get(config.method).ABOUT.real_images
    train = experiment.images("train", data_root) if real else None
    watching = [*callbacks, _Names(experiment, run_dir)] if run_dir else callbacks
    return distill(
        teacher, student, config, evaluate_on=dev, run_dir=run_dir, resume=resume, callbacks=watching,
        stop_after=stop_after, train_on=train,
    )  # fmt: skip


def get_or_run(experiment: Experiment, root: str | Path, callbacks: Iterable[Callback] = ()) -> Run:
    """Returns the finished run of this description in folder `root`, found by its hash, or runs it now.

    A run that was interrupted is resumed. Evaluation uses the data set's split *dev*. If another process or thread is
    running it, this call warns and waits for it: then it returns the finished run, or goes on with it if that process
    or thread stopped before the end. Several ranks do not wait, because they would count each other as lost.

    Raises:
        ConfigError: as `cudfkd.distill`; or a callback of this very run asks for it.
        DataError, TrainingError: as `cudfkd.distill`.
        Interrupted: the user interrupted the run. It is a KeyboardInterrupt that says how to go on.
    """
    folder, watching = Path(root) / experiment.key, tuple(callbacks)
    alone = Ranks.here().size == 1
    while not (alone and (folder / SUMMARY).exists()):
        if alone and is_busy(folder):
            warnings.warn(f"{folder} is being written by another process: waiting for its end", stacklevel=2)
            wait_until_free(folder)
            continue
        try:
            return run(experiment, folder, resume=True, callbacks=watching)
        except BusyError:  # another process was faster
            if not alone:
                raise
        except KeyboardInterrupt:
            line = f"interrupted; {folder} keeps the run: run this again, and it goes on after its last whole epoch"
            raise Interrupted(line) from None
    return load_run(folder)


def build(experiment: Experiment) -> tuple[nn.Module, nn.Module, DistillConfig]:
    """Builds an experiment's teacher, a new student, and its settings, with the data set's mean and std if it has none.

    For a folder of images, `cudfkd.teachers.folders` says where mean and std come from.

    Raises:
        ConfigError: as `cudfkd.teachers.named_card`; or mean and std are unknown.
        DataError: as `cudfkd.teachers.named_card`.
    """
    about, config = experiment.data_info(), experiment.distill
    teacher = teachers.named(
        experiment.data, experiment.teacher, experiment.teacher_seed, experiment.teacher_arch, experiment.folder_size
    )
    if config.mean is None:
        mean, std = folders.normalisation(experiment.teacher_card(), experiment.data, about)
        config = config.model_copy(update={"mean": mean, "std": std})
    student = models.build(experiment.student, about.num_classes, about.channels, about.image_size, config.seed)
    return teacher, student, config


def names(run_dir: Path) -> dict[str, Any]:
    """Reads `data`, `teacher`, `teacher_seed`, `teacher_arch` and `data_content` of the run in a folder.

    The named data and teacher may be gone by now. `data_content` is the hash of a folder of images, else empty.

    Raises:
        DataError: the folder has no such file, because its networks came from outside, or the file is damaged.
    """
    file = run_dir / FILE
    if not file.exists():
        raise DataError(f"{run_dir} does not say which teacher and data it used (no {FILE}): name them")
    content = {"teacher_arch": "", "data_content": ""} | read_json(file)
    kinds = {"data": str, "teacher": str, "teacher_seed": int, "teacher_arch": str, "data_content": str}
    for name, kind in kinds.items():
        if not isinstance(content.get(name), kind):
            raise DataError(f"{file} is damaged ({name} is not what a run writes): name the teacher and its data")
    return {name: content[name] for name in kinds}


class _Names(Callback):
    """Writes experiment.json into the run folder, once the run has its folder."""

    def __init__(self, experiment: Experiment, run_dir: Path) -> None:
        self._names, self._path = experiment.model_dump(mode="json"), run_dir.absolute() / FILE
        about = experiment.data_info()
        if isinstance(about, data.FolderInfo):
            self._names["data_content"] = about.sha256

    def before_run(self, ctx: Context) -> None:
        ctx.ranks.lead(lambda: write_json(self._path, self._names))
