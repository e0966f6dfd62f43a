import pytest

from analysis.theory import tracking_in_mean
from cudfkd import regularizers
from tests.analysis.theory.toys import every, paces


@every
def test_the_student_tracks_in_the_mean(reg):
    assert tracking_in_mean.expected(reg, paces(reg)).passed


def test_a_noise_that_is_a_tenth_too_small_is_seen(monkeypatch):
    right = tracking_in_mean.mean

    def small(*given):
        terms = right(*given)
        return terms._replace(noise=0.9 * terms.noise)

    monkeypatch.setattr(tracking_in_mean, "mean", small)
    assert tracking_in_mean.expected("log", [1.0, 1.5, 2.0]).verdict == "fails"


def test_a_constant_that_is_a_tenth_too_small_is_seen(monkeypatch):
    right = tracking_in_mean.kappa
    monkeypatch.setattr(tracking_in_mean, "kappa", lambda *given: 0.9 * right(*given))
    assert tracking_in_mean.expected("log", [1.0, 1.5, 2.0]).verdict == "fails"


def test_one_step_by_hand():
    samples = tracking_in_mean.drifting(0, 2)
    found = tracking_in_mean.mean(samples, regularizers.get("hard"), [1e6, 1e6], 0.5)
    targets = samples[0].targets
    assert found.left == pytest.approx(0.5 * 0.75 * float(targets.mean()) ** 2)
    assert found.noise == pytest.approx(0.125 * float(targets.var(correction=0)))
