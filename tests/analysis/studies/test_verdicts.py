"""What is concluded from recorded studies: effects that are there and no others."""

import numpy as np
import pandas as pd
import pytest

from analysis.live.accounts import account
from analysis.live.interventions import Held
from analysis.studies import verdicts
from tests.analysis.live.toys import config, probed


def fake(**effects) -> pd.DataFrame:
    """Ten seeds of each variant, with `column: {variant: mean}` and noise of 0.01."""
    rng = np.random.default_rng(0)
    variants = ["default", "no adversary", "lambda too small", "frozen, eval mode"]
    rows = [{"variant": v, "seed": s} | {c: of.get(v, 0.0) + 0.01 * rng.normal() for c, of in effects.items()}
            for v in variants for s in range(10)]  # fmt: skip
    return pd.DataFrame(rows)


def test_verdicts_find_the_effects_that_are_there_and_no_others():
    there = fake(loss_early={"frozen, eval mode": 1.0}, loss_late={"default": 1.0}, generator={"default": 1.0},
                 student={"default": -1.0}, start={}, end={"default": -1.0, "lambda too small": 1.0})  # fmt: skip
    for verdict in (verdicts.harder, verdicts.adapts, verdicts.learns, verdicts.settles):
        assert verdict(there).passed
    nothing = fake(loss_early={}, loss_late={"default": -0.1}, generator={}, student={"default": 0.1}, start={},
                   end={"default": 0.1})  # fmt: skip
    for verdict in (verdicts.harder, verdicts.adapts, verdicts.learns, verdicts.settles):
        assert not verdict(nothing).holds


def test_the_generators_aim_is_untested_where_blind_runs_differ_by_themselves():
    """Void: the later seeds of the control's variant lie above the earlier ones."""
    found = fake(generator={"default": 3.0})
    later = (found["variant"] == "no adversary") & (found["seed"] >= 5)
    found.loc[later, "generator"] += 1.0
    assert verdicts.adapts(found).verdict == "void"


def test_one_setting_for_all_losses():
    means = {0.3: 0.1, 1.0: 0.3, 3.0: 0.51, 10.0: 0.4, 30.0: 0.2, "quantile": 0.5}
    runs = pd.DataFrame(
        [
            {"regularizer": "log", "loss": loss, "lambda": place, "seed": seed, "accuracy": mean + 0.001 * seed,
             "dead_steps": 0.0}
            for loss in ("l1", "kl, T = 4") for place, mean in means.items() for seed in range(5)
        ]
    )  # fmt: skip
    assert verdicts.one_setting(runs, "log").passed
    assert not verdicts.one_setting(runs, "log", margin=0.001).holds
    fixed, following = verdicts.paces(runs, "log")
    assert list(fixed) == ["l1", "kl, T = 4"]
    assert fixed["l1"]["accuracy"].idxmax() == 3.0
    assert following["l1"]["accuracy"] == pytest.approx(0.502)


def test_a_map_has_the_start_in_rows_and_the_growth_in_columns():
    runs = pd.DataFrame(
        [
            {"regularizer": "log", "start": start, "growth": growth, "seed": seed, "dead_steps": start + seed}
            for start in (0.1, 1.0) for growth in (1, 3) for seed in (0, 2)
        ]
    )  # fmt: skip
    table = verdicts.maps(runs)["log"]
    assert table.loc[0.1, 3] == pytest.approx(1.1)
    assert table.shape == (2, 2)


def test_conclusions_name_what_may_be_said():
    moving = account(probed(config())[0])
    held = account(probed(config(), Held(0.0, "eval"))[0])
    assert verdicts.conclude(moving).startswith("tracking only")
    assert verdicts.conclude(held).startswith("samples fixed")
