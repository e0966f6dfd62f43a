"""Verdicts on C5 to C9 on made-up runs whose truth is known: how often a claim is called shown, refuted, undecided."""

import numpy as np
import pandas as pd
import pytest

from analysis.studies import comparison, curves, table
from cudfkd import DataError
from tests.analysis.studies import compared, curved

METHODS = ("cudfkd", "dfq", "cmi", "dafl", "kd", "scratch", "noise")
USUAL = {"dfq": 78.0, "cmi": 79.0, "dafl": 65.0, "kd": 88.0, "scratch": 87.0, "noise": 18.0}


def runs(ours: float, spread: float = 1.0, seed: int = 0, seeds: int = 10) -> pd.DataFrame:
    """Accuracies of three teachers: each run is its method's truth, the seed's part, the teacher's part, and noise."""
    rng = np.random.default_rng(seed)
    of_seed, of_teacher = rng.normal(0, spread, seeds), rng.normal(0, spread, 3)
    truth = USUAL | {"cudfkd": ours}
    return pd.DataFrame(
        [
            {"method": method, "teacher": teacher, "seed": each,
             "accuracy": truth[method] + of_seed[each] + of_teacher[teacher] + rng.normal(0, spread)}
            for method in METHODS for teacher in range(3) for each in range(seeds)
        ]
    )  # fmt: skip


def values(ours: float, **made) -> pd.DataFrame:
    return comparison.units(runs(ours, **made), "accuracy")


def verdicts(judge, ours: float, times: int = 100) -> dict[str, int]:
    found = [judge(values(ours, seed=seed)).verdict for seed in range(times)]
    return {word: found.count(word) for word in ("holds", "fails", "undecided")}


def test_a_unit_is_a_seed_averaged_over_the_teachers():
    made = runs(80.0)
    by_hand = made[(made["method"] == "cmi") & (made["seed"] == 3)]["accuracy"].mean()
    found = values(80.0)
    assert (found.shape, found.loc[3, "cmi"]) == ((10, 7), pytest.approx(by_hand))
    assert comparison.rivals(found) == ["dfq", "cmi", "dafl"]


def test_differences_are_paired():
    table = comparison.against_rivals(values(80.0))
    assert list(table.index) == ["dfq", "cmi", "dafl"]
    assert table.loc["dafl", "difference"] == pytest.approx(15, abs=1)
    assert table.loc["dafl", "ahead"] == pytest.approx(2**-10)
    assert table.loc["dafl", "behind"] == 1
    assert (table["high"] - table["low"]).max() < 2  # the parts of seeds and teachers are gone


@pytest.mark.parametrize(
    ("ours", "word", "least"),
    [(81.0, "holds", 95), (79.0, "holds", 60), (76.5, "fails", 90)],
    ids=["ahead", "as good", "far behind"],
)
def test_comparable_is_seen(ours, word, least):
    assert verdicts(comparison.comparable, ours)[word] >= least


@pytest.mark.parametrize(("ours", "wrong"), [(78.0, "holds"), (78.0, "fails")])
def test_at_the_margin_either_decision_is_rare(ours, wrong):
    assert verdicts(comparison.comparable, ours)[wrong] <= 12  # binomial, 100 times 0.05: exceeded once in 1,000


def test_being_first_is_neither_shown_nor_refuted_between_equals():
    found = verdicts(lambda made: comparison.most_faithful(made, "loyalty"), 79.0)
    assert found["undecided"] >= 80


@pytest.mark.parametrize(
    "judge",
    [
        lambda made: comparison.most_faithful(made, "loyalty"),
        lambda made: comparison.most_robust(made, 100 - made),
        lambda made: comparison.soonest(100 - made, "student updates", "90 %"),
        lambda made: comparison.better_than_data(made.assign(scratch=79.0)),
    ],
    ids=["faithful", "robust", "soon", "data"],
)
def test_clear_cases_are_decided(judge):
    found = {ours: judge(values(ours)) for ours in (83.0, 75.0)}
    assert [found[ours].verdict for ours in (83.0, 75.0)] == ["holds", "fails"]
    assert not any(check.control.holds for check in found.values())


def test_the_steadiest_curve_is_that_of_noise_and_does_not_make_it_robust():
    """The deviation of noise is the lowest, and its mean too: the control fails by its mean."""
    mu, steady = values(83.0), values(83.0) / 100
    found = comparison.most_robust(mu, steady)
    assert not found.control.holds
    assert found.verdict == "fails"  # the rivals have a lower deviation than CuDFKD
    assert comparison.most_robust(mu, steady.assign(cudfkd=0.0)).verdict == "holds"
    assert comparison.most_robust(mu, steady.assign(cudfkd=steady["cmi"])).verdict == "fails"  # dafl is steadier
    alike = steady.assign(dafl=steady["cmi"], dfq=steady["cmi"], cudfkd=steady["cmi"])
    assert comparison.most_robust(mu, alike).verdict == "undecided"


def test_a_control_that_holds_makes_the_check_void():
    made = values(83.0)
    assert comparison.comparable(made.assign(noise=made["cudfkd"])).verdict == "void"


def test_no_verdict_from_runs_that_are_missing_or_doubled():
    made = runs(80.0)
    gone = (made["method"] == "cmi") & (made["teacher"] == 1) & (made["seed"] == 4)
    for wrong, line in [
        (made[~gone], "the run of method cmi, teacher 1, seed 4 is missing, or has no accuracy"),
        (made.assign(accuracy=made["accuracy"].mask(gone)), "the run of method cmi, teacher 1, seed 4 is missing"),
        (pd.concat([made, made[gone]]), "the run of method cmi, teacher 1, seed 4 stands twice"),
    ]:
        with pytest.raises(DataError, match=line):
            comparison.units(wrong, "accuracy")


@pytest.mark.parametrize("judge", [comparison.comparable, comparison.better_than_data], ids=["C5", "C9"])
def test_few_seeds_have_means_and_no_verdict(judge):
    few = values(80.0, seeds=5)
    assert np.isfinite(comparison.estimated(comparison.leads(few))).all(axis=None)
    with pytest.raises(DataError, match="5 seeds are too few for a test: take 6 or more"):
        judge(few)


def test_means_over_seeds_have_their_intervals():
    table = comparison.over_seeds(runs(80.0), "accuracy", scale=0.01)
    assert list(table.index) == list(METHODS)
    assert table.loc["cmi", "value"] == pytest.approx(values(80.0)["cmi"].mean() / 100)
    assert (table["low"] < table["value"]).all()
    assert set(table["n"]) == {10}


def courses(height=curved.usual, pace=curved.even, **made) -> pd.DataFrame:
    return curves.epochs(curved.record("comparison", height, pace, **made))


def verdict_words(checks) -> list[str]:
    return [check.verdict for check in checks]


def test_numbers_of_the_curves_stand_beside_time_and_memory():
    record = curved.record("comparison", seeds=(10, 11))
    runs = table.frame(record).assign(seconds=lambda runs: 60.0 + 60 * (runs["seed"] == 11))
    found = comparison.summary(curves.steadiness(curves.epochs(record)), runs)
    assert list(found.index[:3]) == ["kd", "scratch", "cudfkd"]
    assert found.index[-1] == "noise"
    assert found.loc["dfq", ["minutes", "gb"]].tolist() == pytest.approx([1.5, 0.9])
    assert found.loc["dfq", "mu"] == pytest.approx(79 - 69 * 0.582 / 25, abs=0.5)


def test_c6_has_a_check_for_each_level_and_clock():
    found = comparison.fastest(courses(pace=lambda at: 2.0 if at["method"] == "cudfkd" else 5.0))
    assert [check.name for check in found] == [
        f"fastest in {clock} to {level} % of kd" for level in (90, 95)
        for clock in ("epochs", "generator updates", "seconds")
    ]  # fmt: skip
    assert {check.claims for check in found} == {("C6",)}
    assert verdict_words(found[:3]) == ["holds"] * 3


def test_c6_is_refuted_by_a_faster_rival_and_undecided_between_equals():
    slower = comparison.fastest(courses(pace=lambda at: 2.0 if at["method"] == "dfq" else 5.0))
    assert verdict_words(slower[:3]) == ["fails"] * 3
    equal = comparison.fastest(courses(lambda at: curved.LAST.get(at["method"], 0.83)))
    assert verdict_words(equal[:3]) == ["undecided"] * 3


def test_c7_needs_a_higher_mean_and_a_lower_deviation():
    (even,) = comparison.steadiest(curves.steadiness(courses()))
    assert (even.claims, even.verdict) == (("C7",), "undecided")  # a higher mean, and curves as unsteady as any
    calm = courses()
    ours = calm["method"] == "cudfkd"
    line = 0.83 - 0.3 * np.exp(-calm["epoch"])
    (shown,) = comparison.steadiest(curves.steadiness(calm.assign(accuracy=calm["accuracy"].mask(ours, line))))
    assert shown.verdict == "holds"
    wild = calm["accuracy"].where(~ours, calm["accuracy"] - 0.1 * (calm["epoch"] % 2))
    (refuted,) = comparison.steadiest(curves.steadiness(calm.assign(accuracy=wild)))
    assert refuted.verdict == "fails"


@pytest.mark.parametrize(
    ("ours", "c5", "c9"),
    [(0.92, "holds", "holds"), (0.82, "holds", "fails"), (0.70, "fails", "fails")],
    ids=["first", "first of the data-free", "behind"],
)
def test_the_checks_of_c5_and_c9_read_the_accuracy_on_test(ours, c5, c9):
    runs = table.frame(compared.record({"cudfkd": ours})).assign(accuracy=0.5)
    (one,), (other,) = comparison.comparable_on_test(runs), comparison.better_than_data_on_test(runs)
    assert (one.verdict, one.claims) == (c5, ("C5",))
    assert (other.verdict, other.claims) == (c9, ("C9",))
    assert comparison.on_test(runs)["cudfkd"].mean() == pytest.approx(100 * ours, abs=1)


def test_one_seed_has_means_without_intervals():
    one = runs(80.0, seeds=1)
    table = comparison.over_seeds(one, "accuracy")
    assert table.loc["cmi", "value"] == pytest.approx(one[one["method"] == "cmi"]["accuracy"].mean())
    assert (set(table["n"]), table[["low", "high"]].isna().all(axis=None)) == ({1}, True)
    differences = comparison.estimated(comparison.leads(comparison.units(one, "accuracy")))
    assert differences["difference"].notna().all()
    assert differences[["low", "high"]].isna().all(axis=None)
