from math import exp

import pytest
import torch

from cudfkd import regularizers
from cudfkd.base.errors import ConfigError
from cudfkd.curriculum import DEAD_WEIGHT, Curriculum, difficulty, pace, ramp, weigh

LOSSES = [0.0, 0.3, 1.1, 2.0, 3.7, 9.0]
GRANULARITIES = ("sample", "batch", "none")


def losses() -> torch.Tensor:
    return torch.tensor(LOSSES, dtype=torch.float64, requires_grad=True)


def log_weight(loss: float, lam: float) -> float:
    return (1 + exp(-lam)) / (1 + exp(loss - lam))


# Weights


def test_a_weight_per_sample():
    weights = [log_weight(loss, 2.0) for loss in LOSSES]
    result = weigh(Curriculum(granularity="sample"), losses(), 2.0)
    assert result.weights.tolist() == pytest.approx(weights)
    assert result.objective.item() == pytest.approx(sum(v * loss for v, loss in zip(weights, LOSSES, strict=True)) / 6)


def test_a_weight_per_batch():
    mean = sum(LOSSES) / 6
    result = weigh(Curriculum(granularity="batch"), losses(), 2.0)
    assert result.weights.tolist() == pytest.approx([log_weight(mean, 2.0)] * 6)
    assert result.objective.item() == pytest.approx(log_weight(mean, 2.0) * mean)


def test_no_weights():
    result = weigh(Curriculum(granularity="none"), losses(), 2.0)
    assert result.weights.tolist() == [1] * 6
    assert result.objective.item() == pytest.approx(sum(LOSSES) / 6)


def test_normalized_weights_have_mean_1():
    plain = weigh(Curriculum(), losses(), 2.0)
    result = weigh(Curriculum(normalize=True), losses(), 2.0)
    assert result.weights.mean().item() == pytest.approx(1)
    assert torch.allclose(result.weights / result.weights[0], plain.weights / plain.weights[0])
    assert result.objective.item() == pytest.approx(plain.objective.item() / plain.weights.mean().item())


def test_normalized_weights_of_a_dead_batch_stay_dead():
    plain = weigh(Curriculum(regularizer="linear"), losses() + 100, 2.0)
    result = weigh(Curriculum(regularizer="linear", normalize=True), losses() + 100, 2.0)
    assert result.weights.tolist() == plain.weights.tolist() == [0] * 6
    faint = weigh(Curriculum(normalize=True), losses() + 20, 2.0)
    assert 0 < faint.weights.max() < 1e-3


@pytest.mark.parametrize("granularity", ["batch", "none"])
def test_only_a_weight_for_each_sample_can_be_normalized(granularity):
    with pytest.raises(ConfigError, match="normalize = True is not allowed: with granularity"):
        Curriculum(granularity=granularity, normalize=True)


@pytest.mark.parametrize("name", sorted(set(regularizers.names()) - {"jiang-log"}))
@pytest.mark.parametrize("granularity", ["sample", "batch"])
def test_the_regularizer_that_was_named_is_used(name, granularity):
    result = weigh(Curriculum(regularizer=name, granularity=granularity), losses(), 3.0)
    weight, mean = regularizers.get(name).weight, sum(LOSSES) / 6
    units = LOSSES if granularity == "sample" else [mean] * 6
    expected = [float(weight(torch.tensor([loss], dtype=torch.float64), 3.0)) for loss in units]
    assert result.weights.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("lam", [2.0, torch.tensor(2.0), torch.tensor(2.0).double()], ids=["number", "float", "double"])
def test_dtype_of_the_losses_is_kept(granularity, dtype, lam):
    for name in ("log", "cauchy", "linear"):
        result = weigh(Curriculum(regularizer=name, granularity=granularity), losses().to(dtype), lam)
        assert result.objective.dtype == result.weights.dtype == dtype
        assert result.weights.shape == (6,)


# Gradients


def slope(objective: torch.Tensor, at: torch.Tensor) -> list[float]:
    return torch.autograd.grad(objective, at)[0].tolist()


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("name", ["log", "linear", "huber"])
def test_no_gradient_flows_through_the_weights(granularity, name):
    values = losses()
    result = weigh(Curriculum(regularizer=name, granularity=granularity), values, 2.0)
    assert not result.weights.requires_grad
    constants = [float(v) for v in result.weights]
    assert slope(result.objective, values) == pytest.approx([v / 6 for v in constants])


def test_a_gradient_through_the_weights_would_show():
    at = losses()
    weights = regularizers.get("log").weight(at, 2.0)
    through = slope((weights * at).mean(), at)
    assert through != pytest.approx([v / 6 for v in weights.tolist()], rel=0.01)
    assert min(through) < 0  # the step would make hard samples harder


@pytest.mark.parametrize("lam", [0.5, 1.0, 2.0])
def test_a_weight_per_batch_only_scales_the_learning_rate(lam):
    """In parameters, not only in losses: the steps of a linear student on L1 losses."""
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    student = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)

    def step(curriculum: Curriculum) -> tuple[torch.Tensor, torch.Tensor]:
        result = weigh(curriculum, (x @ student - y).abs().mean(1), lam)
        return torch.autograd.grad(result.objective, student)[0], result.weights[0]

    plain, _ = step(Curriculum(granularity="none"))
    batch, weight = step(Curriculum(granularity="batch"))
    sample, _ = step(Curriculum(granularity="sample"))
    torch.testing.assert_close(batch, weight * plain, rtol=1e-12, atol=1e-15)
    assert 0 < weight < 1
    cosine = torch.nn.functional.cosine_similarity(sample.flatten(), plain.flatten(), 0)
    assert cosine < 1 - 1e-6  # a weight per sample turns the step, too


# Difficulty


def test_difficulty():
    weights = [log_weight(loss, 2.0) for loss in LOSSES]
    slow = sum(v * loss for v, loss in zip(weights, LOSSES, strict=True)) / sum(weights)
    assert float(difficulty(losses().detach(), torch.tensor(weights).double())) == pytest.approx(slow)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_difficulty_is_0_when_every_weight_is(dtype):
    value = difficulty(losses().detach().to(dtype), torch.zeros(6, dtype=dtype))
    assert float(value) == 0
    assert value.dtype == dtype


@pytest.mark.parametrize("weight", [1.0, 1e-3, 1e-20, 1e-37])
def test_difficulty_does_not_depend_on_the_size_of_equal_weights(weight):
    value = difficulty(losses().detach().float(), torch.full((6,), weight))
    assert float(value) == pytest.approx(sum(LOSSES) / 6, rel=1e-5)


def test_a_weight_counts_as_dead_below_a_thousandth():
    assert DEAD_WEIGHT == 1e-3


# Pace


def test_pace_ends():
    curriculum = Curriculum(lam_start=2.0, lam_end=12.0)
    assert pace(curriculum, 0, 1000) == 2.0
    assert pace(curriculum, 1000, 1000) == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("start", "alpha", "total"), [(2.0, 1e-4, 250 * 400), (1.0, 2e-5, 400 * 400), (1.0, 2e-5, 500 * 400)]
)
def test_pace_is_that_of_the_public_code(start, alpha, total):
    curriculum = Curriculum(lam_start=start, lam_end=start + alpha * total)
    for step in (0, 1, 77, total // 3, total - 1):
        assert pace(curriculum, step, total) == pytest.approx(start + alpha * step, rel=1e-12)


@pytest.mark.parametrize(("start", "end"), [(2.0, 4.0), (3.0, 3.0), (4.0, 1.0)])
def test_pace_goes_in_equal_steps(start, end):
    lams = [pace(Curriculum(lam_start=start, lam_end=end), step, 7) for step in range(8)]
    assert [b - a for a, b in zip(lams, lams[1:], strict=False)] == pytest.approx([(end - start) / 7] * 7)


# Ramp


def public_ramp(epochs: int, start: float, rise: float, begin: float, finish: float) -> tuple[list[float], float, int]:
    """The adversarial weight in each epoch by the public code's loop, the last weight, and the number of rises."""
    adv, during, rises = start, [], 0
    for epoch in range(epochs):
        during.append(adv)
        if int(epochs * begin) < epoch < int(epochs * finish):
            adv += rise
            rises += 1
    return during, adv, rises


@pytest.mark.parametrize(
    ("epochs", "begin", "finish", "start", "rise", "rises", "end"),
    [
        (250, 0.25, 0.75, 0.0, 0.5, 124, 62.0),
        (250, 0.25, 0.75, 0.5, 0.05, 124, 6.7),
        (400, 0.2, 0.8, 0.0, 0.35, 239, 83.65),
        (500, 0.2, 0.75, 0.0, 0.12, 274, 32.88),
        (400, 0.2, 0.75, 1.0, 0.15, 219, 33.85),
        (20, 0.25, 0.75, 0.0, 0.1, 9, 0.9),
        (10, 0.25, 0.75, 0.0, 0.25, 4, 1.0),
        (7, 0.3, 0.9, 2.0, -0.5, 3, 0.5),
        (10, 0.0, 1.0, 0.0, 0.5, 9, 4.5),
        (3, 0.0, 1.0, 0.0, 1.0, 2, 2.0),
        (10, 0.58, 0.87, 0.0, 1.0, 2, 2.0),
        (100, 0.29, 0.58, 0.0, 1.0, 28, 28.0),
    ],
)
def test_ramp_is_that_of_the_public_code(epochs, begin, finish, start, rise, rises, end):
    during, last, count = public_ramp(epochs, start, rise, begin, finish)
    assert (last, count) == (pytest.approx(end), rises)
    assert [ramp(epoch, epochs, start, end, begin, finish) for epoch in range(epochs)] == pytest.approx(during)


@pytest.mark.parametrize(("epochs", "last"), [(1, 0), (2, 1), (3, 2), (4, 3)])
def test_a_run_too_short_for_a_rise_takes_it_at_once(epochs, last):
    """.25 and .75 of 1, 2 and 3 epochs leave no epoch between; of 4, one rise, at the end of epoch 2."""
    during = [ramp(epoch, epochs, 0.5, 2.0, 0.25, 0.75) for epoch in range(epochs + 1)]
    assert during == [0.5] * last + [2.0] * (epochs + 1 - last)


def test_a_ramp_of_no_length_is_a_step():
    assert [ramp(epoch, 10, 0.0, 1.0, 0.5, 0.5) for epoch in range(10)] == [0.0] * 5 + [1.0] * 5


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 8, 20, 250])
def test_ramp_stays_between_its_ends_and_rises(epochs):
    during = [ramp(epoch, epochs, 0.0, 3.0, 0.25, 0.75) for epoch in range(epochs)]
    assert during == sorted(during)
    assert min(during) >= 0
    assert max(during) == 3.0


# The description


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"regularizer": "logg"}, ["'logg'", "did you mean 'log'?", "cauchy", "welsch"]),
        ({"regularizer": 3}, ["regularizer", "3", "string"]),
        ({"granularity": "batches"}, ["'batches'", "did you mean 'batch'?", "none", "sample"]),
        ({"lam_start": 0.0}, ["lam_start", "0.0", "greater than 0"]),
        ({"lam_start": -1.0}, ["lam_start", "-1.0", "greater than 0"]),
        ({"lam_end": 0.0}, ["lam_end", "0.0", "greater than 0"]),
        ({"lam_end": float("nan")}, ["lam_end", "nan"]),
        ({"lam_end": float("inf")}, ["lam_end", "inf", "finite"]),
        ({"lam_end": "4"}, ["lam_end", "'4'", "number"]),
        ({"on_dead": "go on"}, ["'go on'", "stop", "warn"]),
        ({"lam": 2.0}, ["'lam'", "lam_start"]),
        ({"regularizer": "jiang-log"}, ["lam_start", "2.0", "jiang-log", "below 1"]),
        ({"regularizer": "jiang-log", "lam_start": 0.5}, ["lam_end", "4.0", "jiang-log", "below 1"]),
        ({"regularizer": "jiang-log", "lam_start": 0.5, "lam_end": 1.0}, ["lam_end", "1.0", "below 1"]),
    ],
)
def test_bad_curriculum_is_refused_in_one_line(values, told):
    with pytest.raises(ConfigError) as error:
        Curriculum(**values)
    line = str(error.value)
    assert "\n" not in line
    for text in told:
        assert text in line


def test_jiang_log_is_accepted_within_its_domain():
    assert Curriculum(regularizer="jiang-log", lam_start=0.2, lam_end=0.9).lam_end == 0.9


@pytest.mark.parametrize("name", regularizers.names())
def test_every_regularizer_may_be_named(name):
    assert Curriculum(regularizer=name, lam_start=0.5, lam_end=0.9).regularizer == name
