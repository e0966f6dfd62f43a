"""Fidelity by hand on four images, and of a real pair of networks."""

import pytest
import torch
from torch.nn.functional import one_hot

from analysis.live import fidelity
from analysis.studies import records, run
from cudfkd import data, evaluate, teachers
from cudfkd.config import DistillConfig
from tests.analysis.studies.tiny import tiny


def sure(*classes: int) -> torch.Tensor:
    return 20.0 * one_hot(torch.tensor(classes), 3)


def test_errors_by_hand():
    found = fidelity.errors(sure(0, 1, 2, 1), sure(0, 1, 1, 2), torch.tensor([0, 2, 0, 2]))
    assert found == {"student_wrong": 0.75, "teacher_wrong": 0.5, "both_wrong": 0.5, "wrong_alike": 0.25}


def test_histograms_by_hand():
    """Two equal answers have loyalty 1. Opposite answers have loyalty 0, as published 1 - (ln 2)^(1/4) = 0.088."""
    found = fidelity.histograms(sure(0, 1, 2, 1), sure(0, 1, 1, 2))
    for name, low in (("loyalties", 0), ("loyalties_published", 1)):
        assert len(found[name]) == fidelity.BINS
        assert (found[name][low], found[name][-1], sum(found[name])) == (0.5, 0.5, 1.0)


def test_moved_images_lose_their_rim_and_nothing_else():
    images = torch.rand(2, 1, 28, 28)
    found = fidelity.moved(images)
    assert torch.equal(found[..., 4:, 4:], images[..., :24, :24])
    assert float(found[..., :4, :].abs().sum() + found[..., :4].abs().sum()) == 0


def test_noise_is_the_same_each_time_and_stays_in_the_images_range():
    images = torch.full((2, 1, 28, 28), 0.5)
    found = fidelity.noisy(images)
    assert torch.equal(found, fidelity.noisy(images))
    assert float(found.std()) == pytest.approx(fidelity.NOISE, rel=0.1)
    assert 0 <= float(found.min()) <= float(found.max()) <= 1


def test_real_images_give_the_scores_of_evaluate():
    info, held_out = data.info("fashion-mnist"), data.load("fashion-mnist", "dev")
    teacher, student = (teachers.named("fashion-mnist", "lenet5", seed) for seed in (0, 1))
    config = DistillConfig(mean=info.mean, std=info.std)
    found = fidelity.numbers(student, teacher, held_out, config)
    for name, score in evaluate(student, teacher, held_out, info.mean, info.std)._asdict().items():
        assert found[f"real_{name}"] == pytest.approx(score.value, abs=1e-12)
    assert found["real_accuracy"] > found["moved_accuracy"]
    assert found["real_accuracy"] > found["noisy_accuracy"]
    assert found["student_wrong"] == pytest.approx(1 - found["real_accuracy"])
    assert found["both_wrong"] > found["student_wrong"] * found["teacher_wrong"]  # two teachers err on the same images


@pytest.mark.parametrize(("reads_test", "images"), [(False, 2000), (True, 10_000)])
def test_a_study_asks_for_fidelity_by_name(tmp_path, reads_test, images):
    study = tiny(reads=["fidelity"], reads_test=reads_test, seeds=[0])
    list(run.fill(study, tmp_path / "tiny.json", labels=["none"]))
    numbers = records.read(tmp_path / "tiny.json").find("none", 0)[1].numbers
    assert numbers["real_accuracy"] == numbers["test_accuracy" if reads_test else "accuracy"]
    assert numbers["student_wrong"] * images == pytest.approx(round(numbers["student_wrong"] * images), abs=1e-6)
