"""CuDFKD's adversarial weight, where it rises with the student's agreement instead of the epochs."""

import pytest
import torch

from cudfkd.methods.cudfkd import Agreement
from tests.cudfkd.engine.test_loop import networks, same
from tests.cudfkd.engine.test_runs import StopAfter
from tests.cudfkd.methods.tiny import config, distill

OPTIONS = {"adv_follows": "agreement", "adv_start": 1.0, "adv_end": 5.0}


def logits(*classes: int) -> torch.Tensor:
    return torch.eye(4)[list(classes)]


def test_the_level_is_the_mean_agreement_above_chance():
    agreement = Agreement(torch.device("cpu"))
    same_classes = logits(0, 1, 2, 3)
    assert agreement.after(same_classes, same_classes).item() == pytest.approx(1, abs=1e-5)
    half = agreement.after(same_classes, logits(0, 1, 3, 2)).item()
    mean = (0.99 * 1 + 0.5) / 1.99
    assert half == pytest.approx((mean - 0.25) / 0.75, abs=1e-5)


def test_less_than_chance_is_level_0():
    agreement = Agreement(torch.device("cpu"))
    assert agreement.after(logits(0, 1), logits(1, 0)).item() == 0


def test_a_student_that_agrees_meets_the_strongest_adversary_and_one_that_does_not_the_weakest():
    like_the_teacher = distill(config("cudfkd", options=OPTIONS, lr=1e-6), student=networks()[0])
    assert like_the_teacher.history["adversarial_weight"].tolist() == pytest.approx([5, 5], abs=0.5)
    unlike = distill(config("cudfkd", options=OPTIONS, lr=1e-6))
    assert unlike.history["adversarial_weight"].tolist() == [1, 1]


def test_a_weight_that_starts_at_0_sees_the_student_all_the_same():
    run = distill(config("cudfkd", options=OPTIONS | {"adv_start": 0.0}, lr=1e-6), student=networks()[0])
    assert run.history["adversarial_weight"].iloc[0] > 1


def test_an_interrupted_run_goes_on_with_its_agreement(tmp_path):
    c = config("cudfkd", options=OPTIONS, epochs=3)
    unbroken = distill(c)
    with pytest.raises(KeyboardInterrupt):
        distill(c, run_dir=tmp_path / "run", callbacks=[StopAfter(2)])
    run = distill(c, run_dir=tmp_path / "run", resume=True)
    assert same(run.student, unbroken.student)
    assert run.history["adversarial_weight"].tolist() == unbroken.history["adversarial_weight"].tolist()
