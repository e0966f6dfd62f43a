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
    below = Tracking(gradients=1.0, fallen=1.0, growth=0.5, drift=2.5, beta=0.9)
    assert (below.bound, below.reached, below.generator_share, below.noise_needed) == (4.0, 0.25, 0.625, 0.0)
    assert str(Tracking(1.0, -1.0, 0.0, 0.5, 0.9).reached) == "nan"


def test_noise_that_allows_the_gradients():
    above = Tracking(gradients=4.0, fallen=0.5, growth=0.0, drift=0.5, beta=0.5)
    # sum eta |grad Phi|^2 is (1 + beta) gradients; T10 adds beta / 2 of the noise
    assert above.bound + 0.5 / 2 * above.noise_needed * 1.5 * above.gradients == pytest.approx(above.gradients)
    assert Tracking(4.0, 0.0, 0.0, 0.0, beta=0.9).noise_needed == pytest.approx(2 / (0.9 * 1.9))
    assert str(Tracking(4.0, 0.0, 0.0, 0.0, beta=0.0).noise_needed) == "nan"


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
