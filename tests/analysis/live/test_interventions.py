"""What holds the generator of a live run, and what nudges its student."""

import pytest

from analysis.live.accounts import account
from analysis.live.interventions import Held, Nudge
from tests.analysis.live.toys import config, probed


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_generator_that_is_held(mode):
    moved = account(probed(config(), Held(0.5, mode))[0]).steps["generator"].iloc[::2]
    assert (moved.iloc[:3] != 0).all()
    assert (moved.iloc[3:] == 0).all() == (mode == "eval")
    assert (moved.iloc[3:] != 0).any() == (mode == "train")  # its BatchNorm statistics go on


def test_a_nudge_is_seen_by_the_account():
    assert account(probed(config(), Nudge())[0]).worst() > 1e-6
