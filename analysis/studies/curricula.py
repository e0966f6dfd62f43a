"""Comparing curricula: the same experiment with another way of weighing, and how hard its samples were."""

from collections.abc import Iterable, Mapping

import pandas as pd

from analysis.live.snapshots import Snapshot
from cudfkd.base.errors import ConfigError
from cudfkd.config import Experiment
from cudfkd.engine.run import Run
from cudfkd.evaluation import Estimate, average


def with_granularity(experiment: Experiment, granularities: Iterable[str]) -> dict[str, Experiment]:
    """The experiment once for each granularity, all else equal. Raises ConfigError for an unknown one."""
    return {name: _with(experiment, name) for name in granularities}


def change_in_loss(early: Snapshot, late: Snapshot) -> Estimate:
    """Mean over latents of (late loss - early loss), paired by latent, with its 95 % interval.

    Raises:
        ConfigError: the snapshots have different numbers of samples.
    """
    if len(early.losses) != len(late.losses):
        raise ConfigError(f"snapshots of {len(early.losses)} and {len(late.losses)} samples cannot be paired")
    return average((late.losses - early.losses).double())


def table(runs: Mapping[str, Run]) -> pd.DataFrame:
    """A row a run: accuracy of the last epoch with its interval over images, mean weight and loss of that epoch."""
    rows = {
        name: {
            "accuracy": run.summary["accuracy"]["value"],
            "95 % low": run.summary["accuracy"]["low"],
            "95 % high": run.summary["accuracy"]["high"],
            "agreement": run.summary["agreement"]["value"],
            "mean weight": run.rows[-1]["mean_weight"],
            "loss": run.rows[-1]["loss"],
            "seconds": run.summary["total_seconds"],
        }
        for name, run in runs.items()
    }
    return pd.DataFrame(rows).T.round(3)


def _with(experiment: Experiment, granularity: str) -> Experiment:
    values = experiment.model_dump(mode="json")
    values["distill"]["curriculum"]["granularity"] = granularity
    return Experiment(**values)
