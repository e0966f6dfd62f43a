import pytest
import torch

from analysis.checks import validate
from cudfkd.base.errors import ConfigError
from cudfkd.regularizers import JiangLog, Logistic

ONES = torch.ones(3, dtype=torch.float64)


@pytest.mark.parametrize("lam", [0.0, -1.0, float("nan"), float("inf")])
def test_lambda_must_be_positive(lam):
    with pytest.raises(ConfigError, match=r"lam = .* is not allowed: it must be in \(0, inf\) for the regularizer log"):
        validate.pace(Logistic(), lam)


def test_lambda_must_lie_in_the_domain():
    assert validate.pace(JiangLog(), 0.9) == 0.9
    with pytest.raises(ConfigError, match=r"lam = 1.0 .* \(0, 1\)"):
        validate.pace(JiangLog(), 1.0)


@pytest.mark.parametrize("bad", [-0.5, float("nan"), float("inf")])
def test_losses_must_be_finite_and_not_negative(bad):
    with pytest.raises(ConfigError, match=rf"losses\[1\] = {bad}"):
        validate.losses(torch.tensor([1.0, bad, -3.0]))


@pytest.mark.parametrize("shape", [(), (0,), (2, 2)])
def test_losses_must_be_a_vector(shape):
    with pytest.raises(ConfigError, match="the shape of losses"):
        validate.losses(torch.ones(shape))


def test_tensors_must_match():
    validate.alike(a=ONES, b=2 * ONES)
    with pytest.raises(ConfigError, match=r"a is torch.float64 and b is torch.float32"):
        validate.alike(a=ONES, b=ONES.float())
    with pytest.raises(ConfigError, match=r"a has shape \(3,\) and b has \(2,\)"):
        validate.alike(a=ONES, b=ONES[:2])


def test_float32_cannot_resolve_a_tight_tolerance():
    validate.resolves(1e-5, losses=ONES.float())
    validate.resolves(1e-10, losses=ONES)
    with pytest.raises(ConfigError, match="losses is torch.float32, which cannot resolve a tolerance of 1e-10"):
        validate.resolves(1e-10, losses=ONES.float())


def test_distributions_sum_to_one():
    validate.distribution(ONES / 3)
    with pytest.raises(ConfigError, match="the sum of prior = 3.0"):
        validate.distribution(ONES)


@pytest.mark.parametrize(("call", "line"), [
    (lambda: validate.positive("step", 0.0), "step = 0.0 is not allowed: it must be a finite number > 0"),
    (lambda: validate.at_least("n", 1, 2), "n = 1 is not allowed: it must be a finite number >= 2"),
    (lambda: validate.within("beta", 1.0, 0, 1), "beta = 1.0 is not allowed: it must be in [0, 1)"),
    (lambda: validate.known("hardd"), "unknown regularizer 'hardd': did you mean 'hard'? known: "),
])  # fmt: skip
def test_lines_name_the_value(call, line):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
