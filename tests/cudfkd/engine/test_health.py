"""A run that fails stops with a line that gives the reason, and keeps its last good checkpoint."""

import copy
import warnings

import pytest
import torch

import cudfkd
from cudfkd import Curriculum, TrainingError
from cudfkd.callbacks import Callback
from cudfkd.runs.context import Context
from tests.cudfkd.engine.test_loop import config, networks, same


@pytest.mark.parametrize("term", ["class_entropy_term", "one_hot_term", "bn_term", "adversarial_term", "objective"])
def test_a_loss_that_is_not_finite_is_named_and_the_last_good_checkpoint_kept(term, tmp_path, monkeypatch):
    original = Context.step_down

    def spoiled(self, optimizer, terms, clip=None):
        bad = self.epoch == 1 and self.step >= 6
        changed = {n: x * float("nan") if bad and n == term else x for n, x in terms.items()}
        original(self, optimizer, changed, clip)

    class Keep(Callback):
        def after_epoch(self, ctx, row):
            self.student = copy.deepcopy(ctx.student)

    keep = Keep()
    monkeypatch.setattr(Context, "step_down", spoiled)
    c = config(epochs=3, options={"adv_start": 1.0})
    with pytest.raises(TrainingError, match=rf"^not finite after 6 student steps: {term};.* epoch 1 ") as error:
        cudfkd.distill(*networks(), c, run_dir=tmp_path / "run", callbacks=[keep])
    assert "\n" not in str(error.value)
    assert same(cudfkd.load_run(tmp_path / "run").student, keep.student)
    assert len(cudfkd.load_run(tmp_path / "run").rows) == 1


@pytest.mark.parametrize("epochs", [1, 4])
def test_a_student_that_its_last_step_destroyed_is_no_result_and_no_checkpoint(epochs, tmp_path):
    """One step an epoch: the loss is computed before the step, so it is finite in the first epoch."""
    c = config(epochs=epochs, steps_per_epoch=1, round_steps=1, lr=1e10)
    with pytest.raises(TrainingError, match=r"after 1 student steps: .*of the student; no epoch was complete"):
        cudfkd.distill(*networks(), c, run_dir=tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("network", ["student", "generator"])
def test_weights_that_became_nan_in_the_last_step_are_named(network):
    class Spoil(Callback):
        def after_lambda_update(self, ctx):
            if ctx.step == 4:
                spoiled = ctx.student if network == "student" else ctx.modules[network]
                with torch.no_grad():
                    next(spoiled.parameters()).mul_(float("nan"))

    with pytest.raises(TrainingError, match=rf"not finite after 4 student steps: weights of the {network}"):
        cudfkd.distill(*networks(), config(), callbacks=[Spoil()])


DEAD = {"curriculum": Curriculum(lam_start=1e-5, lam_end=2e-5, regularizer="hard")}


def test_a_dead_curriculum_stops_in_its_first_epoch_with_the_remedy():
    with pytest.raises(TrainingError, match=r"dead in epoch 1: .* set lam_start near [0-9.e-]+ or above") as error:
        cudfkd.distill(*networks(), config(**DEAD))
    assert "\n" not in str(error.value)


def test_a_dead_run_stays_dead_however_often_it_is_resumed(tmp_path):
    for resume in (False, True, True, True):
        with pytest.raises(TrainingError, match="dead in epoch 1"):
            cudfkd.distill(*networks(), config(**DEAD), run_dir=tmp_path / "run", resume=resume)
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_dead_curriculum_is_warned_of_once_when_asked_to_go_on():
    curriculum = Curriculum(**DEAD["curriculum"].model_dump() | {"on_dead": "warn"})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = cudfkd.distill(*networks(), config(curriculum=curriculum))
    assert sum("curriculum is dead" in str(w.message) for w in caught) == 1
    assert run.history["dead_steps"].tolist() == [1.0, 1.0]


def test_a_living_curriculum_is_not_reported():
    run = cudfkd.distill(*networks(), config())
    assert run.history["dead_steps"].tolist() == [0.0, 0.0]
