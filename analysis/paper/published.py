"""Published values of the paper's figures as tables, and oddities that these tables show by themselves."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from analysis.checks.ranges import Spread, pooled
from cudfkd.base.errors import ConfigError, unknown

VALUES: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("published.yaml").read_text())
MEASURES = ("accuracy", "agreement", "loyalty")
MAPS = ("F2", "F3", "F4")
CURVES = ("F5", "F6", "F7", "F8")


def figure(name: str) -> dict[str, Any]:
    """The published values of a figure or table. Raises ConfigError for an unknown name."""
    if name not in VALUES:
        raise ConfigError(unknown("figure of the paper", name, VALUES))
    return VALUES[name]


def source(name: str) -> str:
    """Figure, pair of networks and place of its values, in a line."""
    values = figure(name)
    return f"{name}: {values['pair']}; {values['source']}"


def heat_map(name: str, measure: str) -> pd.DataFrame:
    """A published heat map: where the ramp ends (rows) by where it begins (columns)."""
    values = figure(name)
    index, columns = (pd.Index(values[axis], name=axis) for axis in ("end", "begin"))
    return pd.DataFrame(values[measure], index=index, columns=columns)


def curve(name: str) -> pd.DataFrame:
    """A published curve: a row a setting, a column a measure."""
    values = figure(name)
    return pd.DataFrame({measure: values[measure] for measure in MEASURES}, index=pd.Index(values["x"], name=name))


def noisy() -> pd.DataFrame:
    """F10: a row a run, with columns teacher (clean or noisy), method, accuracy, agreement, loyalty."""
    rows = [
        (teacher, method, *run)
        for teacher in ("clean", "noisy")
        for method, runs in figure("F10")[teacher].items()
        for run in runs
    ]
    return pd.DataFrame(rows, columns=["teacher", "method", *MEASURES])


def repeated(measure: str) -> Spread:
    """The spread of a measure over published runs of one setting: CuDFKD in F10, three runs with each teacher."""
    runs = noisy()
    groups = runs[runs["method"] == "cudfkd"].groupby("teacher")[measure]
    return pooled([values.to_numpy(dtype=np.float64) for _, values in groups])


def courses() -> dict[str, pd.Series]:
    """Published accuracies during training, by method: the share of the run (index, in percent) and the accuracy.

    PRE-DFKD: the first and the last epochs of F13. CuDFKD: 90 % within 30 epochs, of the paper's first version.
    """
    f13, table = figure("F13"), figure("accuracy")
    values = [*f13["pre-dfkd"]["first"], *f13["pre-dfkd"]["last"]]
    first = range(1, len(f13["pre-dfkd"]["first"]) + 1)
    last = range(f13["epochs"] - len(f13["pre-dfkd"]["last"]) + 1, f13["epochs"] + 1)
    shares = [100 * epoch / f13["epochs"] for epoch in (*first, *last)]
    within = pd.Series([90.0], [100 * table["v1, epochs to 90 %"] / table["epochs"]])
    return {"pre-dfkd": pd.Series(values, shares), "cudfkd": within}


def steadiness() -> pd.Series:
    """The published mean and variance of CuDFKD's accuracy over training, minutes of a run, and GB of memory."""
    values = figure("steadiness")
    return pd.Series(
        {"mu": values["mu"], "sigma2": values["sigma2"], "minutes": 60 * values["hours"], "gb": values["gigabytes"]}
    )


def copied_rows() -> list[str]:
    """Rows that stand in two of the heat maps, value for value."""
    rows = [
        (f"{measure} in {name}, end at {end}", tuple(values))
        for measure in MEASURES
        for name in MAPS
        for end, values in heat_map(name, measure).T.items()
    ]
    return [f"{first} = {second}" for (first, one), (second, other) in combinations(rows, 2) if one == other]


def default_setting() -> pd.DataFrame:
    """The script's own setting for CIFAR-10 (log, T = 20, lambda from 2) wherever a figure shows it: a row a figure."""
    first = noisy().query("teacher == 'clean' and method == 'cudfkd'").iloc[0]
    rows = {
        "F6, log": curve("F6").loc["log"],
        "F7, T = 20": curve("F7").loc[20],
        "F8, λ starts at 2": curve("F8").loc[2],
        "F10, clean teacher, first run": first[list(MEASURES)],
    }
    return pd.DataFrame(rows).T.astype(float)
