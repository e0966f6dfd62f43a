"""The result of a run, which can be loaded from its folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from cudfkd import models
from cudfkd.base import process
from cudfkd.base.errors import ConfigError, CudfkdError, DataError
from cudfkd.base.files import folder_path
from cudfkd.boundary import networks
from cudfkd.config import DistillConfig
from cudfkd.runs import checkpoint
from cudfkd.runs.folder import load_weights, scores
from cudfkd.runs.metrics import Row
from cudfkd.runs.records import CONFIG, SUMMARY, read_description, read_rows, read_summary, unreadable

if TYPE_CHECKING:
    import pandas


@dataclass(repr=False)
class Run:
    """The result of a run.

    config: settings of the run.
    rows: metrics, one dict per epoch (see `cudfkd.runs.metrics.row`).
    summary: the last epoch's scores with intervals; empty if the run did not finish.
    student: the student after the last epoch.
    generator: the generator after the last epoch; None for a method without generator.
    path: folder of the run; None if it was not written.
    """

    config: DistillConfig
    rows: list[Row]
    summary: dict[str, Any]
    student: nn.Module
    generator: nn.Module | None = None
    path: Path | None = None

    @property
    def history(self) -> "pandas.DataFrame":
        """The metrics, one row per epoch; column "accuracy" is the student's accuracy on evaluate_on."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def __repr__(self) -> str:
        accuracy = self.rows[-1]["accuracy"] if self.rows else None
        reached = "" if accuracy is None else f", accuracy {accuracy:.4f}"
        done = f"{len(self.rows)} of {self.config.epochs} epochs"
        return f"Run({self.config.method}, {done}{reached}, {self.path or 'not written'})"


@process.plain()
def load_run(path: str | Path | Any, student: nn.Module | Any = None, epoch: int | None = None) -> Run:
    """Loads a run from its folder, finished or not, on the CPU and in eval mode.

    Arguments:
        path: the run's folder.
        student: for a run with a foreign student: a network of the same architecture; its weights are replaced.
        epoch: load the weights of this epoch, from `keep_epochs`; None: of the last epoch.

    Raises:
        DataError: the folder holds no run, no epoch of the run is complete, or its files are damaged.
        ConfigError: the path is no path; a foreign student was not passed in, cannot be used or has another
            architecture; or the epoch was not kept.
    """
    folder_path("path", path)
    path = Path(path)
    if not (path / CONFIG).is_file():
        raise DataError(f"{path} is no run folder: it has no {CONFIG}")
    description = read_description(path)
    summary = read_summary(path) if (path / SUMMARY).exists() else {}
    rows = read_rows(path, summary["epoch"] if summary else checkpoint.epochs(path))
    if not rows:
        raise DataError(f"{path} holds a run of which no epoch is complete: resume it first")
    if student is None and description["student"] is None:
        raise ConfigError(f"the student of {path} is not a network of ours: pass it in with student=")
    try:
        config = DistillConfig.model_validate(description["distill"], context={"elsewhere": True})
        student = models.rebuild(description["student"]) if student is None else student
        generator = models.Generator(**description["generator"]) if description["generator"] else None
    except (CudfkdError, TypeError, RuntimeError) as error:
        raise unreadable(path, description, str(error)) from error
    inner = networks.network("student", student)
    networks.refuse_inference("student", inner)
    for name, module in (("student", inner), ("generator", generator)):
        if module is not None:
            module.eval()
            load_weights(module, path, name, epoch, summary)
    return Run(config, rows, scores(summary), student, generator, path)
