import pytest

from analysis.theory import equivalence
from analysis.theory.equivalence import Pair
from analysis.theory.toys.controls import StepWeight
from tests.analysis.theory.toys import every


@every
def test_tp2_decides(reg):
    assert equivalence.equivalent(reg).passed


@every
def test_the_activity_bounds_every_divergence(reg):
    assert equivalence.extremal(reg, 3).passed


def test_a_wrong_condition_is_seen(monkeypatch):
    monkeypatch.setattr(equivalence, "tp2", lambda pair: 0.9 * pair.easy * pair.hard_late - pair.hard * pair.easy_late)
    assert equivalence.equivalent("log").verdict == "fails"


def test_a_bound_that_is_a_tenth_too_small_is_seen(monkeypatch):
    right = equivalence.activity_bound
    monkeypatch.setattr(equivalence, "activity_bound", lambda name, alpha: 0.9 * right(name, alpha))
    assert equivalence.extremal("log", 1).verdict == "fails"


def test_the_bound_by_hand():
    assert equivalence.activity_bound("chi2", 0.25) == pytest.approx(3.0)
    assert equivalence.activity_bound("TV", 0.25) == pytest.approx(0.75)
    assert equivalence.activity_bound("KL", 0.25) == pytest.approx(1.3862943611)


def test_counts_agree():
    table = equivalence.counts(["log", "jiang-log", StepWeight()], 300)
    assert list(table.index) == ["log", "jiang-log", "step (control)", "random weights"]
    assert table["disagree"].sum() == 0
    assert table.loc["log", "TP2 holds"] == table.loc["log", "pairs"]
    assert 0 < table.loc["jiang-log", "TP2 holds"] < table.loc["jiang-log", "pairs"]
    assert table.loc["random weights", ["TP2 holds", "KL falls"]].tolist() == [150, 150]


def test_both_hypotheses_on_the_weight_are_needed():
    pair = Pair(easy=0.5, hard=0.6, easy_late=0.5, hard_late=0.9, share=0.5)  # the hard sample weighs more
    assert equivalence.tp2(pair) > 0
    assert equivalence.rise(pair, "KL") > 0
    two = Pair(easy=1.0, hard=1.0, easy_late=0.0, hard_late=2.0, share=0.5)  # a weight above 1
    assert equivalence.rise(two, "KL") > equivalence.activity_bound("KL", 1.0) == 0


def test_a_pair_without_hard_weight():
    pair = Pair(easy=1.0, hard=0.0, easy_late=0.5, hard_late=0.25, share=0.5)
    assert equivalence.tp2(pair) > 0
    assert equivalence.rise(pair, "KL") < 0
