"""A live run that is studied: what changes with its seed, and what holds or nudges it."""

import pytest

from analysis.live.accounts import account
from analysis.studies import study as studies
from analysis.studies.trials import Held, Nudge, Trial
from cudfkd import ConfigError
from tests.analysis.live.toys import config, probed


def test_a_seed_and_a_length_are_all_that_changes():
    trial = studies.study("drift")["strong adversary"]
    other = trial.with_seed(3).shortened(2, 4)
    assert (other.experiment.distill.seed, other.experiment.distill.total_steps) == (3, 8)
    assert other.experiment.distill.options == trial.experiment.distill.options
    assert other.with_seed(0).shortened(10, 30) == trial


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_generator_that_is_held(mode):
    moved = account(probed(config(), Held(0.5, mode))[0]).steps["generator"].iloc[::2]
    assert (moved.iloc[:3] != 0).all()
    assert (moved.iloc[3:] == 0).all() == (mode == "eval")
    assert (moved.iloc[3:] != 0).any() == (mode == "train")  # its BatchNorm statistics go on


def test_a_nudge_is_seen_by_the_account():
    assert account(probed(config(), Nudge())[0]).worst() > 1e-6


def test_a_trial_refuses_what_it_does_not_know():
    with pytest.raises(ConfigError, match="unknown frozen 'maybe'"):
        Trial(experiment=studies.study("granularity")["none"].experiment, frozen="maybe")
