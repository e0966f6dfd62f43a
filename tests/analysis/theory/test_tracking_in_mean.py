import pytest

from analysis.theory import bounds, tracking_in_mean
from cudfkd import regularizers
from tests.analysis.theory.toys import every, paces


@every
def test_the_student_tracks_in_the_mean(reg):
    assert tracking_in_mean.expected(reg, paces(reg)).passed


@pytest.mark.parametrize("name", ["kappa", "batch_noise"])
def test_a_bound_that_is_a_tenth_too_small_is_seen(name, monkeypatch):
    right = getattr(bounds, name)
    monkeypatch.setattr(bounds, name, lambda *given: 0.9 * right(*given))
    assert tracking_in_mean.expected("log", [1.0, 1.5, 2.0]).verdict == "fails"


def test_one_step_by_hand():
    samples = tracking_in_mean.drifting(0, 2)
    found = tracking_in_mean.mean(samples, regularizers.get("hard"), [1e6, 1e6], 0.5)
    targets = samples[0].targets
    assert found.left == pytest.approx(0.5 * 0.75 * float(targets.mean()) ** 2)
    assert found.noise == pytest.approx(0.125 * float(targets.var(correction=0)))
