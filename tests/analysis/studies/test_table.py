"""Tables of records: a row a run, means and differences over seeds, summaries."""

import numpy as np
import pandas as pd
import pytest

from analysis import plots
from analysis.studies import catalog, records, table
from analysis.studies.records import Entry, StudyRecord
from cudfkd import methods

PLAIN = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}


def compared(**accuracies: dict[int, float]) -> StudyRecord:
    """A record of methods: by method the accuracy of each seed."""
    cases = {case.label: case for case in catalog.get("methods").cases}
    record = records.begun(catalog.get("methods"))
    for method, by_seed in accuracies.items():
        for seed, accuracy in by_seed.items():
            rows = [{"epoch": e, "student_steps": 100 * e, "total_seconds": 2.0 * e, "accuracy": accuracy * e / 3,
                     "seconds": 2.0, "mean_weight": 1.0, "loss": 0.1} for e in (1, 2, 3)]  # fmt: skip
            summary = {"accuracy": PLAIN | {"value": accuracy}, "agreement": PLAIN, "student_steps": 300,
                       "generator_steps": 60}  # fmt: skip
            numbers = {"accuracy": accuracy, "agreement": 0.5}
            entry = Entry(made={}, seconds=6.0, mb=900.0, numbers=numbers, summary=summary, rows=rows)
            record = record.with_run(cases[method], seed, entry)
    return record


def test_a_row_a_run_with_its_place_on_the_axes():
    runs = table.frame(compared(dafl={0: 0.4, 1: 0.6}, noise={0: 0.1}))
    assert runs[["method", "seed", "accuracy"]].to_numpy().tolist() == [
        ["dafl", 0, 0.4], ["dafl", 1, 0.6], ["noise", 0, 0.1],
    ]  # fmt: skip
    assert runs["student_steps"].tolist() == [300, 300, 300]


def test_axes_are_columns_and_numbers_stay_numbers():
    runs = table.frame(records.load("pace"))
    assert set(runs["loss"]) == {"l1", "kl, T = 4", "kl, T = 20"}
    assert set(runs["lambda"]) == {0.3, 1.0, 3.0, 10.0, 30.0, "quantile"}
    assert len(runs) == 360


def test_the_summary_orders_by_mean_and_says_how_many_seeds():
    runs = table.frame(compared(dafl={s: 0.4 + 0.1 * s for s in range(3)}, noise=dict.fromkeys(range(3), 0.1)))
    summary = table.summary(runs)
    assert summary.index.tolist() == ["dafl", "noise"]
    assert summary.loc["dafl", "accuracy, %"] == 50.0
    assert summary.loc["dafl", "low"] == pytest.approx(50 - 4.303 * 10 / 3**0.5, abs=0.1)  # t with two degrees
    assert summary["n"].tolist() == [3, 3]


def test_margins_are_taken_seed_by_seed():
    runs = table.frame(compared(dafl={0: 0.4, 1: 0.6}, noise={1: 0.2, 0: 0.1}, dfq={2: 0.9}))
    assert table.margins(runs).loc["dafl"].tolist() == [35.0, 30.0, 2.0]
    assert "dfq" not in table.margins(runs).index


def test_differences_are_paired_by_seed_and_against_itself_there_is_none():
    rng = np.random.default_rng(0)
    luck = rng.normal(size=10)
    runs = pd.DataFrame([{"arm": arm, "seed": s, "x": luck[s] + shift} for s in range(10) for arm, shift in
                         (("a", 1.0), ("b", 0.0))])  # fmt: skip
    effect = table.paired(runs, "x", "arm", "a", "b")
    assert (effect.value, effect.n) == (pytest.approx(1.0), 10)
    assert effect.high - effect.low < 1e-9
    none = table.null(runs, "x", "arm", "a")
    assert none.n == 5
    assert none.covers(0.0)
    assert table.means(runs, "x", "arm")["a"].value == pytest.approx(1 + luck.mean())


def test_costs_are_what_the_command_line_shows():
    costs = table.costs(table.frame(compared(dafl={0: 0.5, 1: 0.5})))
    assert costs == {"dafl": {"seconds": 6.0, "peak_memory_mb": 900.0, "n": 2}}
    assert table.costs(table.frame(records.load("methods"))) == methods.costs()


def test_the_committed_runs_of_methods_are_small_and_quick():
    runs = table.frame(records.load("methods"))
    assert (runs["mb"] < 3000).all()
    assert (runs["seconds"] < 480).all()


def test_the_figures_show_every_method():
    record = compared(dafl=dict.fromkeys(range(2), 0.3), noise=dict.fromkeys(range(2), 0.3))
    figure = plots.races(table.histories(record, "method"))
    assert [line.get_label() for line in figure.axes[0].lines] == ["dafl", "noise"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == pytest.approx([10, 20, 30])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["dafl 30.0", "noise 30.0"]
    axes = plots.accuracies(table.summary(table.frame(record)))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dafl", "noise"]


def test_falls_are_from_the_best_epoch_to_the_last():
    rows = [("a", 0, [0.5, 0.9, 0.6]), ("a", 1, [0.5, 0.6, 0.6]), ("a", 2, [0.7, 0.6, 0.65]), ("b", 0, [0.1, 0.2, 0.3])]
    runs = pd.DataFrame(
        [{"method": m, "seed": s, "accuracies": a, "accuracy": a[-1]} for m, s, a in rows]
        + [{"method": "c", "seed": 0, "accuracies": np.nan, "accuracy": np.nan}]
    )
    falls = table.falls(runs)
    assert falls.loc["a"].tolist() == [5.0, 30.0, 3.0]
    assert falls.loc["b"].tolist() == [0.0, 0.0, 1.0]
    assert list(falls.index) == ["a", "b"]


def test_effects_are_paired_by_seed_within_a_method():
    scores = {("a", "plain"): (0.5, 0.6, 0.7), ("a", "changed"): (0.6, 0.7, 0.9), ("b", "plain"): (0.2, 0.3, 0.4),
              ("b", "changed"): (0.1, 0.2, 0.3)}  # fmt: skip
    runs = pd.DataFrame(
        [{"method": m, "form": f, "seed": s, "accuracy": x} for (m, f), xs in scores.items() for s, x in enumerate(xs)]
    )
    effects = table.effects(runs, "form", "plain")
    assert effects.loc[("b", "changed")].tolist() == [-10.0, -10.0, -10.0, 3.0]
    mean, low, high, n = effects.loc[("a", "changed")]
    assert (mean, n) == (pytest.approx(13.3), 3)
    assert mean - low == pytest.approx(4.303 * 5.77 / 3**0.5, abs=0.2)  # t with two degrees
    assert high - mean == pytest.approx(mean - low, abs=0.1)
    assert len(effects) == 2


def test_a_ladder_goes_from_place_to_place_and_from_the_first_to_the_last():
    scores = {"start": (0.5, 0.6), "middle": (0.6, 0.7), "end": (0.6, 0.8)}
    runs = pd.DataFrame(
        [{"form": form, "seed": seed, "accuracy": x} for form, xs in scores.items() for seed, x in enumerate(xs)]
    )
    ladder = table.ladder(runs, "form")
    assert ladder["mean"].to_dict() == {"start -> middle": 10.0, "middle -> end": 5.0, "start -> end": 15.0}
    assert ladder["n"].tolist() == [2, 2, 2]
    assert ladder.loc["middle -> end", "high"] == pytest.approx(5 + 12.706 * 5, abs=0.1)  # t with one degree
