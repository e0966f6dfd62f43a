"""Effects of settings: means, spreads and paired differences, and verdicts that find the effects that are there."""

import numpy as np
import pandas as pd
import pytest

from analysis.studies import ablations
from tests.analysis.studies import seeded

ENDS = {"2/3": 0.0, "3/4": -0.01, "4/5": -0.03}


def test_a_row_a_place_with_its_interval_in_the_published_unit():
    runs = seeded.runs("ramp", lambda at: 0.8 + ENDS[at["end"]])
    table = ablations.responses(runs, "accuracy", ["begin", "end"])
    assert table.index.names == ["begin", "end"]
    assert len(table) == 9
    cell = runs[(runs["begin"] == "1/4") & (runs["end"] == "4/5")]
    assert table.loc[("1/4", "4/5"), "mean"] == pytest.approx(100 * cell["accuracy"].mean())
    assert (table["low"] < table["mean"]).all()
    assert set(table["n"]) == {5}
    one_axis = ablations.responses(runs, "loyalty", ["end"])
    assert one_axis.index.tolist() == ["2/3", "3/4", "4/5"]
    assert one_axis["mean"].between(0.4, 0.6).all()


def test_the_spread_is_within_places_only():
    spread = ablations.spread(seeded.runs("ramp", lambda at: ENDS[at["end"]]), "accuracy", ["begin", "end"])
    assert spread.degrees == 36
    assert spread.sd == pytest.approx(0.5, rel=0.3)


def test_a_run_that_stopped_itself_is_left_out_and_n_says_so():
    runs = seeded.runs("start")
    runs.loc[runs.index[0], "accuracy"] = np.nan
    assert ablations.responses(runs, "accuracy", ["start"])["n"].tolist() == [4, *7 * [5]]
    assert ablations.difference(runs, "accuracy", "start", 0.1, 5.0).n == 4


def test_differences_are_paired_by_seed_and_averaged_over_further_axes():
    rows = [(begin, end, seed, 0.5 + 0.1 * seed + 0.01 * (end == "a") + 0.3 * (begin == "x"))
            for begin in "xy" for end in "ab" for seed in range(3)]  # fmt: skip
    runs = pd.DataFrame(rows, columns=["begin", "end", "seed", "accuracy"])
    difference = ablations.difference(runs, "accuracy", "end", "a", "b")
    assert difference.value == pytest.approx(1.0)
    assert difference.high - difference.low < 1e-9
    assert difference.n == 3


EFFECTS = {
    "ramp": (ablations.ramp_ends_early, lambda at: 0.8 + ENDS[at["end"]]),
    "height": (ablations.height_helps, lambda at: 0.7 + 0.005 * at["height"]),
    "strategy": (
        ablations.curricula_help,
        lambda at: 0.8 - 0.05 * (at["strategy"] == "none") - 0.05 * (at["ramp"] == ablations.WITHOUT_RAMP),
    ),
    "temperature": (ablations.warmth_helps, lambda at: 0.7 + 0.004 * at["temperature"]),
    "start": (ablations.low_start_helps, lambda at: 0.9 - 0.05 * at["start"]),
    "noisy": (
        ablations.loses_least,
        lambda at: 0.8 - at[ablations.WRONG] / 1000 * (1 if at["method"] == "cudfkd" else 2),
    ),
}


@pytest.mark.parametrize("study", EFFECTS)
def test_verdicts_find_an_effect_that_is_there_and_none_that_is_not(study):
    judge, height = EFFECTS[study]
    there = judge(seeded.runs(study, height, seed=1))
    assert there.verdict == "holds"
    assert not there.exact
    assert judge(seeded.runs(study, seed=1)).verdict == "fails"
    assert judge(seeded.runs(study, lambda at: -height(at), seed=1)).verdict == "fails"


def test_a_verdict_is_void_where_the_seeds_alone_make_the_effect():
    runs = seeded.runs("start", EFFECTS["start"][1], noise=1e-4)
    drifting = runs.assign(accuracy=runs["accuracy"] + 0.1 * (runs["seed"] >= 2))
    assert ablations.low_start_helps(drifting).verdict == "void"


def test_one_rival_that_loses_as_little_is_enough_to_fail():
    def height(at):
        return 0.8 - at[ablations.WRONG] / 1000 * (1 if at["method"] in ("cudfkd", "dfq") else 2)

    runs = seeded.runs("noisy", height)
    assert ablations.rivals(runs) == ["cmi", "dfq", "fast-dfkd"]
    assert ablations.loses_least(runs).verdict == "fails"
    assert ablations.losses(runs, "accuracy").mean()["cmi"] == pytest.approx(8, abs=1)


def test_noisy_teachers_have_their_own_accuracy_on_their_cards():
    own = ablations.teachers_own(seeded.record("noisy"))
    assert own.index.tolist() == [0, 10, 20, 40]
    assert own[0] == pytest.approx(92.05)
    assert (own.diff().dropna() < 0).all()
