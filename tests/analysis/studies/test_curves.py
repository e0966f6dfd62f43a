"""Curves of recorded runs: clocks, bands, steadiness and times by hand; a level that nobody reaches is named."""

import pandas as pd
import pytest

from analysis.studies import comparison, curves, records
from cudfkd import DataError
from tests.analysis.studies.test_records import entry
from tests.analysis.studies.tiny import tiny

ACCURACIES = {"kd": [0.5, 0.9], "cudfkd": [0.4, 0.8], "dfq": [0.2, 0.3]}


def made(seeds: int = 2) -> pd.DataFrame:
    """Runs of two epochs; each seed is 0.01 better than the seed before, each teacher 0.02; dfq is twice as slow."""
    rows = []
    for method, values in ACCURACIES.items():
        for teacher in (0, 1):
            for seed in range(seeds):
                for epoch, accuracy in enumerate(values, start=1):
                    clock = epoch * (2 if method == "dfq" else 1)
                    rows.append(
                        {"method": method, "teacher": teacher, "seed": seed, "epoch": epoch, "student_steps": epoch,
                         "generator_steps": 0 if method == "kd" else clock, "total_seconds": 10.0 * clock,
                         "teacher_images": clock, "accuracy": accuracy + 0.01 * seed + 0.02 * teacher}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def test_epochs_of_a_record_sum_the_teachers_images():
    record = records.begun(tiny())
    rows = [{"epoch": epoch, "teacher_images": 10 + epoch, "accuracy": 0.5} for epoch in (1, 2)]
    record = record.with_run(tiny().cases[0], 3, entry(rows=rows))
    found = curves.epochs(record)
    assert found[["granularity", "seed", "epoch", "teacher_images"]].to_numpy().tolist() == [
        ["sample", 3, 1, 11], ["sample", 3, 2, 23],
    ]  # fmt: skip
    with pytest.raises(DataError, match="the record tiny holds no curve of none, seed 0"):
        curves.epochs(record.with_run(tiny().cases[1], 0, entry()))


def test_bands_are_over_seeds_of_means_over_teachers():
    found = curves.bands(made(), "total_seconds")
    assert list(found) == list(ACCURACIES)
    assert found["dfq"]["clock"].tolist() == [20, 40]
    assert found["cudfkd"].loc[2, ["mean", "low", "high"]].tolist() == pytest.approx([81.5, 81.0, 82.0])


def test_steadiness_is_mean_and_variance_with_and_without_the_trend():
    found = curves.steadiness(made()).set_index(["method", "teacher", "seed"]).loc[("cudfkd", 0, 0)]
    assert found.tolist() == pytest.approx([80, 60, 400, 0, 0, 0], abs=1e-6)  # two points lie on a line


def test_the_deviation_leaves_out_the_bend_of_the_first_fifth():
    bent = [0.1, 0.5, *(0.6 + 0.01 * epoch for epoch in range(8))]  # the last eight of ten epochs lie on a line
    runs = pd.DataFrame({"method": "kd", "seed": 0, "accuracy": bent})
    (found,) = curves.steadiness(runs).to_dict("records")
    assert found["deviation"] == pytest.approx(0, abs=1e-6)
    assert found["sigma2"] > 200
    runs.loc[5, "accuracy"] += 0.03
    assert curves.steadiness(runs)["deviation"].item() > 0.5


def test_the_level_is_a_share_of_the_last_accuracy_of_the_reference():
    assert curves.level(made(), 0.9) == pytest.approx(0.9 * 0.915)
    with pytest.raises(DataError, match="no run is of kd"):
        curves.level(made()[lambda runs: runs["method"] != "kd"], 0.9)


def test_a_run_that_never_gets_there_counts_as_the_longest_of_all():
    found = curves.times(made(), 0.8).set_index(["method", "teacher", "seed"])
    assert found.loc[("cudfkd", 0, 0), ["reached", "epoch", "total_seconds"]].tolist() == [True, 2, 20]
    assert found.loc[("dfq", 0, 0), ["reached", "epoch", "total_seconds"]].tolist() == [False, 2, 40]
    assert found.loc[("kd", 0, 0), "total_seconds_end"] == 20
    assert curves.reached(curves.times(made(), 0.8)) == {"kd": "4 of 4", "cudfkd": "4 of 4", "dfq": "0 of 4"}
    early = curves.times(made(), 0.405).set_index(["method", "teacher", "seed"])
    assert early.loc[("cudfkd", 0, 0), "epoch"] == 2  # 0.4 after the first epoch
    assert early.loc[("cudfkd", 0, 1), "epoch"] == 1


def test_a_level_that_no_run_reaches_is_named():
    with pytest.raises(DataError, match=r"no run reaches 95\.0 % on dev: take a lower level"):
        curves.times(made(), 0.95)


def test_rates_of_reaching_are_compared_up_to_the_time_that_all_were_seen():
    timed = curves.times(made(seeds=8), 0.8)
    found = curves.log_ranks(timed, "epoch")
    assert list(found) == ["kd", "dfq"]
    assert found["dfq"] < 0.001 < found["kd"]
    assert list(curves.log_ranks(timed, "generator_steps")) == ["dfq"]  # kd has no generator


def test_times_are_units_of_the_verdicts():
    timed = curves.times(made(seeds=6), 0.8)
    assert comparison.units(timed, "total_seconds").loc[0].tolist() == [20, 20, 40]
