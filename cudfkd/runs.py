"""One folder a run: what was asked, what happened, what came out.

    config.json              the description of the run and of its networks
    metrics.jsonl            one row an epoch (`cudfkd.metrics.row`)
    checkpoint.safetensors   all that is needed to go on; gone once the run is finished
    student.safetensors      the student after the last epoch, and likewise generator.safetensors
    student-epoch0005...     weights of the epochs in `keep_epochs`
    summary.json             the last epoch's scores with their intervals; its presence says that the run is finished

Every file is written whole: a reader never sees a part of one.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from cudfkd import models
from cudfkd.callbacks import Callback
from cudfkd.checkpoint import State, read, under
from cudfkd.config import DistillConfig, Experiment
from cudfkd.errors import ConfigError, DataError
from cudfkd.files import write_bytes, write_json, write_json_lines
from cudfkd.metrics import Row
from cudfkd.version import __version__

if TYPE_CHECKING:
    import pandas


@dataclass
class Run:
    """A run and what came out of it.

    config: its description. rows: the metrics, a dict an epoch. summary: the last epoch's scores with intervals, empty
    if the run did not finish. student, generator: networks after the last epoch (generator: None for a method without).
    path: its folder, or None if it was not written.
    """

    config: DistillConfig
    rows: list[Row]
    summary: dict[str, Any]
    student: nn.Module
    generator: nn.Module | None = None
    path: Path | None = None

    @property
    def history(self) -> "pandas.DataFrame":
        """The metrics, one row an epoch; column "accuracy" is on evaluate_on."""
        import pandas as pd

        return pd.DataFrame(self.rows)


@dataclass
class RunFolder:
    """Writes a run's folder, or nothing at all when `path` is None."""

    path: Path | None
    rows: list[Row] = field(default_factory=list)

    def open(self, description: dict, *, resume: bool) -> bool:
        """Claims the folder for this description; True if a checkpoint in it is to be resumed.

        Raises:
            ConfigError: a run is there already and resume is off, or it is the run of another description.
            DataError: the folder cannot be written or its files are damaged.
        """
        if self.path is None:
            return False
        config = self.path / "config.json"
        if config.exists():
            if not resume:
                raise ConfigError(f"{self.path} holds a run already: choose another folder, or resume it")
            _refuse_other(self.path, _read_json(config), description)
            if self.checkpoint.exists():
                self.rows = _read_rows(self.path)
                return True
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise ConfigError(f"{self.path} holds other files: choose an empty or new folder for the run")
        write_json(config, description)
        return False

    @property
    def checkpoint(self) -> Path:
        """Where the run can go on from."""
        assert self.path is not None
        return self.path / "checkpoint.safetensors"

    def save_epoch(self, state: State, row: Row, generator_steps: int, *, keep: bool) -> None:
        """Adds a row, replaces the checkpoint, and keeps the epoch's weights if asked."""
        self.rows.append(row)
        if self.path is None:
            return
        epoch = int(row["epoch"] or 0)
        write_json_lines(self.path / "metrics.jsonl", self.rows)
        state.save(self.checkpoint, epoch, generator_steps)
        if keep:
            self._save_weights(state, f"-epoch{epoch:04d}")

    def finish(self, state: State, summary: dict) -> None:
        """Writes the last weights and the summary, which makes the run a finished one."""
        if self.path is None:
            return
        self._save_weights(state, "")
        write_json(self.path / "summary.json", summary)
        self.checkpoint.unlink(missing_ok=True)

    def _save_weights(self, state: State, suffix: str) -> None:
        assert self.path is not None
        for name, module in state.modules.items():
            tensors = {key: tensor.cpu().contiguous() for key, tensor in module.state_dict().items()}
            write_bytes(self.path / f"{name}{suffix}.safetensors", save(tensors))


def describe(config: DistillConfig, student: nn.Module, teacher: nn.Module, generator: nn.Module | None) -> dict:
    """What config.json holds. A network of ours is described well enough to be built again, a foreign one is null."""
    return {
        "distill": config.model_dump(mode="json"),
        "student": models.spec_of(student),
        "teacher": models.spec_of(teacher),
        "generator": generator.arguments if isinstance(generator, models.Generator) else None,
        "versions": {"cudfkd": __version__, "torch": torch.__version__, "python": sys.version.split()[0]},
    }


def load_run(path: str | Path, student: nn.Module | None = None, epoch: int | None = None) -> Run:
    """A run from its folder, finished or not, on the CPU and in eval mode.

    Arguments:
        path: the run's folder.
        student: for a run whose student is not of ours: a network of that kind, whose weights are replaced.
        epoch: weights of one of the `keep_epochs` instead of the last.

    Raises:
        DataError: no run there, or its files are damaged.
        ConfigError: the student is foreign and was not passed in, or is of another kind; that epoch was not kept.
    """
    path = Path(path)
    if not (path / "config.json").is_file():
        raise DataError(f"{path} is no run folder: it has no config.json")
    description = _read_json(path / "config.json")
    config = DistillConfig(**description["distill"])
    if student is None:
        if description["student"] is None:
            raise ConfigError(f"the student of {path} is not a network of ours: pass it in with student=")
        student = models.rebuild(description["student"])
    generator = models.Generator(**description["generator"]) if description["generator"] else None
    for name, module in (("student", student), ("generator", generator)):
        if module is not None:
            _load_weights(module.eval(), path, name, epoch)
    summary = _read_json(path / "summary.json") if (path / "summary.json").exists() else {}
    return Run(config, _read_rows(path), summary, student, generator, path)


def get_or_run(experiment: Experiment, root: str | Path, callbacks: Iterable[Callback] = ()) -> Run:
    """The finished run of this description in folder `root`, found by its hash; if there is none, it is run now.

    A run that was interrupted is resumed. Evaluation is on the data set's *dev* split.

    Raises:
        as `cudfkd.distill`.
    """
    from cudfkd.experiments import run

    folder = Path(root) / experiment.key
    if (folder / "summary.json").exists():
        return load_run(folder)
    return run(experiment, folder, resume=True, callbacks=callbacks)


def _load_weights(module: nn.Module, path: Path, name: str, epoch: int | None) -> None:
    suffix = "" if epoch is None else f"-epoch{epoch:04d}"
    file = path / f"{name}{suffix}.safetensors"
    if epoch is not None and not file.exists():
        raise ConfigError(f"epoch = {epoch} was not kept in {path}: name it in keep_epochs before the run")
    try:
        weights = load_file(file) if file.exists() else under(read(path / "checkpoint.safetensors")[0], name)
        module.load_state_dict(weights)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file} is damaged: run it again in another folder") from error
    except RuntimeError as error:
        raise ConfigError(f"the weights of {path} are not those of the given {name}: pass in the right one") from error


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is missing or damaged: run it again in another folder") from error


def _read_rows(path: Path) -> list[Row]:
    file = path / "metrics.jsonl"
    try:
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    except ValueError as error:
        raise DataError(f"{file} is damaged: run it again in another folder") from error


def _refuse_other(path: Path, found: dict, wanted: dict) -> None:
    for key in ("distill", "student", "teacher", "generator"):
        old, new = found.get(key), json.loads(json.dumps(wanted[key]))
        if old != new:
            name, was, now = key, old, new
            if isinstance(old, dict) and isinstance(new, dict):
                name, was, now = next((k, old.get(k), new[k]) for k in new if old.get(k) != new[k])
            raise ConfigError(f"{path} holds a run with {name} = {was!r}, not {now!r}: choose another folder")
