import numpy as np
import pytest

from analysis.theory import envelope
from cudfkd.base.errors import ConfigError
from cudfkd.regularizers import JiangLog
from tests.analysis.theory.toys import SHAPED, TEN


@pytest.mark.parametrize("reg", SHAPED, ids=str)
def test_envelope(reg):
    for lam in (0.2, 0.7, 0.95) if isinstance(reg, JiangLog) else (0.2, 1.5, 12.0) if reg in TEN else (1.5,):
        results = envelope.checks(reg, lam)
        assert [(result.name, result.verdict, result.worst_violation) for result in results if not result.passed] == []


def test_tangents_touch_from_above():
    losses = np.linspace(0, 6, 61).tolist()
    lines = envelope.tangents("log", 2.0, [0.5, 2.0, 4.0], losses)
    latent = np.tile(envelope.curves("log", [2.0], losses)["latent"], 3)
    gap = lines["line"] - latent
    assert gap.min() >= -1e-14
    touching = np.isclose(lines["loss"], lines["touching"])
    np.testing.assert_allclose(gap[touching], 0, atol=1e-14)


def test_curves_join_the_lambdas():
    table = envelope.curves("hard", [1.0, 2.0], [0.5, 1.5])
    assert table.to_dict("list") == {
        "lam": [1.0, 1.0, 2.0, 2.0], "loss": [0.5, 1.5] * 2, "weight": [1, 0, 1, 1], "latent": [0.5, 1.0, 0.5, 1.5]
    }  # fmt: skip


def test_search_finds_the_closed_form():
    table = envelope.search_weight("welsch", 1.5, [0.1, 1.0, 4.0])
    assert table["apart"].max() < 1e-7


@pytest.mark.parametrize("lam", [0, 2])
def test_whole_numbers_are_lambdas_too(lam):
    if lam:
        assert envelope.best_weight("log", lam).passed
    else:
        with pytest.raises(ConfigError, match="lam = 0.0"):
            envelope.best_weight("log", lam)


def test_negative_losses_are_refused():
    with pytest.raises(ConfigError, match=r"losses\[1\] = -1.0"):
        envelope.best_weight("log", 1.0, [0.0, -1.0])
