"""The folder of a run: its description, its metrics, its results. It holds these files:

    config.json              description of the run and of its networks
    experiment.json          names of data, teacher and student, for a run by name (`cudfkd.engine.experiments`)
    metrics.jsonl            one row per epoch (`cudfkd.runs.metrics.row`)
    checkpoint.json          names checkpoint-EPOCH.safetensors, from which the run can go on; removed at the run's end
    student.safetensors      the student after the last epoch
    generator.safetensors    the generator after the last epoch, for a method with a generator
    student-epoch0005...     weights of the epochs in `keep_epochs`, one file per network
    summary.json             the last epoch's scores with their intervals, and the machine that finished the run;
                             this file exists when the run is finished
    .lock                    locked by the process that writes the folder

Every file is written in one step: a reader sees a complete file or none.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from cudfkd import models
from cudfkd.base.errors import ConfigError, DataError
from cudfkd.base.files import make_folder, remove_empty, write_bytes, write_json, write_json_lines
from cudfkd.base.machine import made
from cudfkd.base.ranks import ALONE, Ranks
from cudfkd.base.version import __version__
from cudfkd.boundary.images import Images
from cudfkd.boundary.weights import load_plain, plain_state
from cudfkd.runs import checkpoint
from cudfkd.runs.checkpoint import State, separate
from cudfkd.runs.fingerprint import fingerprint
from cudfkd.runs.lock import LOCK, locked
from cudfkd.runs.metrics import Row
from cudfkd.runs.records import (
    CONFIG,
    METRICS,
    SUMMARY,
    read_description,
    read_rows,
    read_summary,
    refuse_other,
    refuse_other_data,
)
from cudfkd.runs.settings import Settings


@dataclass
class RunFolder:
    """Writes a run's folder, or nothing if `path` is None. With several ranks, only rank 0 reads and writes it.

    path: the folder.
    ranks: the processes that share the run.
    rows: metrics of the complete epochs.
    starting: whether the folder has its description but no checkpoint yet.
    """

    path: Path | None
    ranks: Ranks = ALONE
    rows: list[Row] = field(default_factory=list)
    starting: bool = False

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Makes the folder and locks it against further processes. The lock ends with the process, even in a crash.

        Raises:
            BusyError: another process is writing the folder, or another thread of this process.
            ConfigError: the folder holds files that belong to no run, or a callback of its own run asks for it.
            DataError: the folder cannot be made.
        """
        with ExitStack() as stack:
            if self.path is not None:
                self.ranks.lead(lambda: stack.enter_context(self._claimed()))
            yield

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        assert self.path is not None
        created = make_folder(self.path)
        # In this order: a description that another process writes between the two looks is no other file.
        if _holds_other_files(self.path) and not (self.path / CONFIG).exists():
            raise ConfigError(f"{self.path} holds other files: choose an empty or new folder for the run")
        with locked(self.path):
            try:
                yield
            except Exception:
                if self.starting:  # the run has no checkpoint yet: leave no file behind
                    checkpoint.remove(self.path)
                    for name in (CONFIG, LOCK):
                        (self.path / name).unlink(missing_ok=True)
                    remove_empty(created)
                raise

    def open(self, description: dict, *, resume: bool) -> Literal["new", "resumed", "finished"]:
        """Returns the stage of the run in this folder; for a new run, writes its description.

        Arguments:
            description: description of the run, see `describe`.
            resume: whether to go on with a run that is in the folder already.

        Raises:
            ConfigError: the folder holds a run already and resume is off, or it holds the run of another description.
            DataError: the folder cannot be written or its files are damaged.
        """
        if self.path is None:
            return "new"
        stage, self.rows = self.ranks.lead(lambda: (self._open(description, resume=resume), self.rows))
        return stage

    def _open(self, description: dict, *, resume: bool) -> Literal["new", "resumed", "finished"]:
        assert self.path is not None
        config = self.path / CONFIG
        if not config.exists():
            self.starting = True
            write_json(config, description)
            return "new"
        self.refuse_new(resume=resume)
        found = read_description(self.path)
        refuse_other(self.path, found, description)
        refuse_other_data(self.path, found, description)
        if (self.path / SUMMARY).exists():
            self.rows = read_rows(self.path, read_summary(self.path)["epoch"])
            return "finished"
        if checkpoint.exists(self.path):
            return "resumed"
        if (self.path / METRICS).exists():
            lost = f"it has {METRICS} and neither {checkpoint.POINTER} nor {SUMMARY}"
            raise DataError(f"{self.path} is not whole ({lost}): run it again in another folder")
        return "new"

    def refuse_new(self, *, resume: bool) -> None:
        """Raises ConfigError unless `resume` is on: a run in the folder is never overwritten."""
        if not resume:
            raise ConfigError(f"{self.path} holds a run already: choose another folder, or resume it")

    def save_start(self, state: State) -> None:
        """Saves the start of the run, so that a run that dies in its first epoch starts again from the same state."""
        path = self.path
        if path is not None:
            self.ranks.lead(lambda: state.save(path, 0, 0))
        self.starting = False

    def load(self, state: State) -> tuple[int, int]:
        """Restores the state of a resumed run; returns its epochs and generator steps."""
        assert self.path is not None
        path = self.path
        epoch, generator_steps = state.load(path, self.ranks)
        self.rows = self.ranks.lead(lambda: read_rows(path, epoch))
        return epoch, generator_steps

    def save_epoch(self, state: State, row: Row, generator_steps: int, *, keep: bool) -> None:
        """Adds an epoch's row, then writes metrics, weights (if `keep`) and checkpoint.

        The epoch counts as complete once the checkpoint is replaced.
        """
        self.rows.append(row)
        if self.path is not None:
            self.ranks.lead(lambda: self._save_epoch(state, int(row["epoch"] or 0), generator_steps, keep))

    def _save_epoch(self, state: State, epoch: int, generator_steps: int, keep: bool) -> None:
        assert self.path is not None
        write_json_lines(self.path / METRICS, self.rows)
        if keep:
            self._save_weights(state, f"-epoch{epoch:04d}")
        state.save(self.path, epoch, generator_steps)

    def finish(self, state: State, summary: dict, device: torch.device) -> None:
        """Writes the last weights, then the summary with the machine's stamp, which marks the run as finished."""
        if self.path is not None:
            self.ranks.lead(lambda: self._finish(state, summary | {"made": made(device)}))

    def _finish(self, state: State, summary: dict) -> None:
        assert self.path is not None
        digests = self._save_weights(state, "")
        write_json(self.path / SUMMARY, summary | {"sha256": digests})
        checkpoint.remove(self.path)

    def load_finished(self, state: State) -> dict:
        """Restores the networks of a finished run; returns its summary."""
        summary = self.ranks.lead(lambda: self._load_finished(state))
        for module in state.modules.values():
            self.ranks.follow(module)
        return summary

    def _load_finished(self, state: State) -> dict:
        assert self.path is not None
        summary = read_summary(self.path)
        for name, module in state.modules.items():
            load_weights(module, self.path, name, None, summary)
        checkpoint.remove(self.path)  # the finishing process may have died before it removed the checkpoint
        return scores(summary)

    def _save_weights(self, state: State, suffix: str) -> dict[str, str]:
        assert self.path is not None
        digests = {}
        for name, module in state.modules.items():
            content = save({key: tensor.cpu().contiguous() for key, tensor in separate(plain_state(module)).items()})
            write_bytes(self.path / f"{name}{suffix}.safetensors", content)
            digests[name] = sha256(content).hexdigest()
        return digests


def describe(
    config: Settings,
    student: nn.Module,
    teacher: nn.Module,
    generator: nn.Module | None,
    images: Mapping[str, Images] = MappingProxyType({}),
) -> dict:
    """Returns the content of config.json. The package's own networks can be rebuilt from it; a foreign network is null.

    distill: settings of the run.
    student: specification of the student.
    teacher: specification of the teacher.
    teacher_sha256: `fingerprint` of the teacher.
    generator: arguments of the generator.
    data_sha256: hash of each data set of the run, "evaluate_on" and "train_on".
    versions: versions of cudfkd, torch and Python.
    """
    return {
        "distill": config.model_dump(mode="json"),
        "student": models.spec_of(student),
        "teacher": models.spec_of(teacher),
        "teacher_sha256": fingerprint(teacher),
        "generator": generator.arguments if isinstance(generator, models.Generator) else None,
        "data_sha256": {name: data.sha256() for name, data in images.items()},
        "versions": {"cudfkd": __version__, "torch": torch.__version__, "python": sys.version.split()[0]},
    }


def load_weights(module: nn.Module, path: Path, name: str, epoch: int | None, summary: dict) -> None:
    """Loads a network's weights of the last epoch, or of an epoch that was kept; the network may be wrapped.

    Arguments:
        module: the network.
        path: the run folder.
        name: name of the network in the run, such as "student" or "generator".
        epoch: an epoch that was kept; None: the last epoch.
        summary: content of summary.json; empty if the run is not finished, so that the checkpoint has the weights.

    Raises:
        ConfigError: the epoch was not kept, or the weights belong to another network.
        DataError: the file is missing or damaged.
    """
    suffix = "" if epoch is None else f"-epoch{epoch:04d}"
    file = path / f"{name}{suffix}.safetensors"
    if epoch is not None and not file.exists():
        raise ConfigError(f"epoch = {epoch} was not kept in {path}: name it in keep_epochs before the run")
    try:
        if epoch is None and not summary:
            weights = checkpoint.under(checkpoint.read(path)[0], name)
        else:
            content = file.read_bytes()
            if epoch is None and sha256(content).hexdigest() != summary.get("sha256", {}).get(name):
                raise DataError(f"{file} is damaged (its SHA-256 differs): run it again in another folder")
            weights = load(content)
        load_plain(module, weights)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file} is missing or damaged: run it again in another folder") from error
    except RuntimeError as error:
        raise ConfigError(f"the weights of {path} are not those of the given {name}: pass in the right one") from error


def scores(summary: dict) -> dict:
    """Returns the content of summary.json without the hashes of the weights and the stamp of the machine."""
    return {key: value for key, value in summary.items() if key not in ("sha256", "made")}


def _holds_other_files(path: Path) -> bool:
    return path.is_dir() and any(not file.name.startswith(".") for file in path.iterdir())
