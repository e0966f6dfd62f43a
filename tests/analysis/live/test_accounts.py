"""The account of live runs closes for every granularity, has the signs of the theory, and its controls fail."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.live import accounts
from analysis.live.accounts import account
from analysis.live.probe import Probe
from cudfkd import ConfigError, Curriculum, regularizers
from tests.analysis.live.toys import Meddler, config, probed, student


def curricula() -> list[Curriculum]:
    kinds = [Curriculum(regularizer=name, lam_start=0.3, lam_end=0.9, on_dead="warn") for name in regularizers.names()]
    return [*kinds, Curriculum(granularity="batch"), Curriculum(granularity="none")]


@pytest.mark.filterwarnings("ignore:the curriculum is dead")
@pytest.mark.parametrize("curriculum", curricula(), ids=lambda c: f"{c.regularizer}-{c.granularity}")
def test_steps_and_blocks_close(curriculum):
    cfg = config(curriculum=curriculum, options={"loss": "kl", "temperature": 4.0})
    result = account(probed(cfg)[0])
    assert result.worst() <= accounts.TOLERANCE
    assert accounts.splits([result]).holds


@pytest.mark.parametrize("every", [1, 2, 4])
def test_rounds_that_are_not_read_are_in_the_blocks(every):
    result = account(probed(config(), probe=Probe(every=every, samples=16))[0])
    assert result.worst() <= accounts.TOLERANCE
    assert list(result.blocks.index) == list(range(0, 6, every))
    assert result.blocks["until"].iloc[-1] == 6
    assert len(result.steps) == 2 * len(result.blocks)


def test_a_tiny_step_closes_too():
    still = student()
    for module in still.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    curriculum = Curriculum(lam_start=2.0, lam_end=2.0)
    result = account(probed(config(lr=1e-7, curriculum=curriculum), network=still)[0])
    tiny = result.steps.iloc[1::2]  # without the generator's turn
    assert 0 < tiny["magnitude"].max() < 1e-6
    assert tiny["relative"].max() <= accounts.TOLERANCE


def test_steps_add_up_to_the_run_and_so_do_blocks():
    result = account(probed(config())[0])
    change = result.blocks["end"].iloc[-1] - result.blocks["start"].iloc[0]
    assert result.covers_all()
    for table in ("steps", "blocks"):
        total = result.total(table)
        assert total["student"] + total["lambda"] + total["generator"] == pytest.approx(change, abs=1e-13)
    assert not account(probed(config(), probe=Probe(every=2, samples=16))[0]).covers_all()


def test_a_change_outside_everybodys_turn_is_found():
    clean, meddled = (account(probed(config(), *others)[0]) for others in ((), (MeddlesAfterwards(),)))
    verdict = accounts.closes([clean], [meddled])
    assert verdict.passed
    assert verdict.by_construction
    assert accounts.closes([clean], [clean]).verdict == "void"


class MeddlesAfterwards(Meddler):
    """Moves the student after the probe has read the lambda update, and before the probe's next reading."""

    def after_lambda_update(self, ctx) -> None:
        pass

    def before_student_step(self, ctx) -> None:
        super().after_lambda_update(ctx)


def test_signs_are_those_of_the_theory_and_controls_fail():
    growing = account(probed(config(curriculum=Curriculum(lam_start=0.3, lam_end=1.0)))[0])
    assert accounts.concave([growing]).passed
    assert accounts.within_drift([growing]).passed
    falling = account(probed(config(curriculum=Curriculum(lam_start=1.0, lam_end=0.3)))[0])
    assert accounts.lambda_lifts([growing], [falling]).passed
    assert growing.steps["lambda"].min() >= 0
    assert growing.steps["lambda"].max() > 0


def test_the_generator_counts_in_the_first_step_of_a_round_alone():
    result = account(probed(config())[0])
    assert (result.steps["generator"].iloc[::2] != 0).all()
    assert (result.steps["generator"].iloc[1::2] == 0).all()


def test_the_split_of_a_block_depends_on_the_order_and_the_sum_does_not():
    rows = account(probed(config(), probe=Probe(every=3, samples=16))[0]).blocks
    other = rows["generator first"] + rows["student last"]
    lam_last = rows["end"] - rows["start"] - other
    assert (rows["student"] - rows["student last"]).abs().max() > 1e-6
    assert lam_last.abs().max() < 1  # the remainder is lambda's part in the other order


def test_samples_of_a_dead_curriculum():
    curriculum = Curriculum(regularizer="hard", lam_start=1e-6, lam_end=1e-6, on_dead="warn")
    with pytest.warns(UserWarning, match="dead"):
        rows = account(probed(config(curriculum=curriculum))[0]).samples
    assert (rows["mean weight"] == 0).all()
    assert (rows["dead"] == 1).all()
    assert rows[["ess", "kl", "entropy"]].isna().all(axis=None)
    assert (rows["gradient"] == 0).all()


def test_samples_are_those_of_the_distribution():
    rows = account(probed(config())[0]).samples
    assert rows["entropy"].to_numpy() == pytest.approx(np.log(16) - rows["kl"].to_numpy())
    assert (rows["kl"] <= -np.log(rows["mean weight"]) + 1e-12).all()  # the activity bounds the divergence
    assert (rows["ess"] >= rows["mean weight"] - 1e-12).all()
    assert (rows["q05"] <= rows["q95"]).all()
    assert list(rows.index) == list(range(1, 13))


def test_a_run_without_an_end_is_refused():
    probe, _ = probed(config())
    probe.readings = [reading for reading in probe.readings if reading.moment != "end"]
    with pytest.raises(ConfigError, match="the end of a run"):
        account(probe)
    with pytest.raises(ConfigError, match="None"):
        account(Probe())


def test_controls_are_not_satisfied_by_a_lambda_that_stands_still():
    constant = account(probed(config(curriculum=Curriculum(lam_start=2.0, lam_end=2.0)))[0])
    assert (constant.steps["lambda"] == 0).all()
    assert replace(accounts.closes([constant], [constant]), by_construction=False).verdict == "void"
