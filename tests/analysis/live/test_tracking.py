import pandas as pd
import pytest

from analysis.live.accounts import account
from analysis.live.probe import Probe
from analysis.live.tracking import Tracking, bound_shares, tracking
from cudfkd import ConfigError
from tests.analysis.live.toys import config, probed


def test_both_sides_of_a_run():
    cfg = config()
    result = account(probed(cfg, probe=Probe(every=1, samples=16))[0])
    found = tracking(result, cfg)
    assert found.bound == pytest.approx(-result.total("steps")["student"], abs=1e-12)
    first, last = (result.samples["gradient"].iloc[at] ** 2 for at in (0, -1))
    assert found.gradients > cfg.lr / (1 + cfg.momentum) * first
    assert found.gradients < cfg.lr / (1 + cfg.momentum) * result.samples["gradient"].pow(2).sum()
    assert last > 0
    assert found.numbers()["reached"] == pytest.approx(found.gradients / found.bound, nan_ok=True)


def test_shares():
    found = Tracking(gradients=1.0, fallen=1.0, growth=0.5, drift=2.5)
    assert (found.bound, found.reached, found.generator_share) == (4.0, 0.25, 0.625)
    assert str(Tracking(1.0, -1.0, 0.0, 0.5).reached) == "nan"


def test_shares_of_recorded_runs_add_up():
    runs = pd.DataFrame({"start": [3.0, 1.0], "end": [1.0, 1.0], "lambda": [1.0, 0.0], "generator": [1.0, 0.0],
                         "student": [-4.0, 0.0]})  # fmt: skip
    assert bound_shares(runs)[["fallen", "lambda", "generator"]].to_numpy().tolist() == [[0.5, 0.25, 0.25]]


def test_bad_input():
    cfg = config()
    with pytest.raises(ConfigError, match="every=1"):
        tracking(account(probed(cfg, probe=Probe(every=2, samples=16))[0]), cfg)
    with pytest.raises(ConfigError, match="gradient=True"):
        tracking(account(probed(cfg, probe=Probe(every=1, samples=16, gradient=False))[0]), cfg)
