"""The average of the student's weights over the last steps of a run."""

import copy

import pytest
import torch

import cudfkd
from cudfkd import ConfigError
from cudfkd.callbacks import Callback
from tests.cudfkd.engine.test_loop import config, held_out, networks, same
from tests.cudfkd.engine.test_runs import Dropout, StopAfter


class Steps(Callback):
    """Copies the student's state after each step."""

    def __init__(self):
        self.states = []

    def after_student_step(self, ctx, batch):  # noqa: ARG002
        self.states.append(copy.deepcopy(ctx.student.state_dict()))


class Untouched(Callback):
    """Copies the student's state before the run ends."""

    def after_epoch(self, ctx, row):  # noqa: ARG002
        self.state = copy.deepcopy(ctx.student.state_dict())


def test_the_student_of_the_result_is_the_mean_of_the_last_steps():
    steps = Steps()
    run = cudfkd.distill(*networks(), config(average=0.4), evaluate_on=held_out(), callbacks=[steps])
    last = steps.states[4:]  # of 8 steps: steps 5 to 8, which come after 0.6 x 8 = 4.8
    for name, averaged in run.student.state_dict().items():
        values = torch.stack([state[name].double() for state in last])
        if averaged.is_floating_point():
            assert torch.allclose(averaged.double(), values.mean(0), atol=1e-6), name


def test_training_itself_is_the_same_and_scores_are_of_the_average():
    plain, averaged = Untouched(), Untouched()
    one = cudfkd.distill(*networks(), config(), evaluate_on=held_out(), callbacks=[plain])
    other = cudfkd.distill(*networks(), config(average=0.4), evaluate_on=held_out(), callbacks=[averaged])
    assert all(torch.equal(plain.state[name], averaged.state[name]) for name in plain.state)
    assert one.history["loss"].tolist() == other.history["loss"].tolist()
    assert not same(one.student, other.student)
    measured = cudfkd.evaluate(other.student, networks()[0], held_out(), other.config.mean, other.config.std)
    assert other.summary["loyalty"]["value"] == pytest.approx(measured.loyalty.value)
    assert one.summary["loyalty"] != other.summary["loyalty"]


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_an_interrupted_run_goes_on_to_the_same_average(tmp_path, stop):
    c = config(epochs=4, average=0.6)
    unbroken = cudfkd.distill(networks()[0], Dropout(), c, evaluate_on=held_out())
    arguments = {"evaluate_on": held_out(), "run_dir": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        cudfkd.distill(networks()[0], Dropout(), c, **arguments, callbacks=[StopAfter(stop)])
    run = cudfkd.distill(networks()[0], Dropout(), c, **arguments, resume=True)
    assert same(run.student, unbroken.student)
    assert run.history["loyalty"].tolist() == unbroken.history["loyalty"].tolist()
    again = cudfkd.distill(networks()[0], Dropout(), c, **arguments, resume=True)
    assert same(again.student, unbroken.student)


@pytest.mark.parametrize("share", [-0.1, 1.0, "x"])
def test_a_share_outside_the_run_is_refused(share):
    with pytest.raises(ConfigError, match="average = "):
        config(average=share)
