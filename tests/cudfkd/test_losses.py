import weakref
from math import exp, log, sqrt

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import nn

from cudfkd import losses
from cudfkd.base.errors import ConfigError
from cudfkd.losses import adversarial, class_entropy, js, kl, l1, l2, one_hot
from cudfkd.models.batch_norm_statistics import BatchNormStatistics, layers_with_statistics, stored

TEMPERATURES = pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0, 20.0])
EVERY = [kl, l1, l2, js]


def logits(scale: float = 3.0, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    t, s = scale * torch.randn(2, 9, 5, generator=rng, dtype=torch.float64).to(dtype)
    return t, s


def softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    top = max(row)
    raised = [exp((x - top) / temperature) for x in row]
    return [x / sum(raised) for x in raised]


def slow_kl(t: list[float], s: list[float], temperature: float) -> float:
    p, q = softmax(t, temperature), softmax(s, temperature)
    return temperature**2 * sum(a * log(a / b) for a, b in zip(p, q, strict=True))


def each_pair(t: torch.Tensor, s: torch.Tensor) -> list[tuple[list[float], list[float]]]:
    return list(zip(t.tolist(), s.tolist(), strict=True))


# Divergences


@TEMPERATURES
def test_kl(temperature):
    t, s = logits()
    slow = [slow_kl(a, b, temperature) for a, b in each_pair(t, s)]
    assert kl(t, s, temperature).tolist() == pytest.approx(slow, rel=1e-10)


def test_kl_is_from_teacher_to_student():
    """p = (.9, .1), q = (.6, .4): KL(p || q) = .9 ln 1.5 + .1 ln .25."""
    t, s = torch.tensor([[0.9, 0.1]]).double().log(), torch.tensor([[0.6, 0.4]]).double().log()
    assert float(kl(t, s)) == pytest.approx(0.9 * log(1.5) + 0.1 * log(0.25), rel=1e-6)
    assert float(kl(s, t)) == pytest.approx(0.6 * log(0.6 / 0.9) + 0.4 * log(4), rel=1e-6)


def test_l1_and_l2():
    t, s = logits()
    gaps = [[x - y for x, y in zip(a, b, strict=True)] for a, b in each_pair(t, s)]
    assert l1(t, s).tolist() == pytest.approx([sum(abs(gap) for gap in row) / 5 for row in gaps])
    assert l2(t, s).tolist() == pytest.approx([sum(gap**2 for gap in row) / 5 for row in gaps])


@pytest.mark.parametrize("function", [l1, l2])
def test_l1_and_l2_ignore_the_temperature(function):
    t, s = logits()
    assert torch.equal(function(t, s, 1.0), function(t, s, 7.0))


@TEMPERATURES
def test_js_against_scipy(temperature):
    t, s = logits()
    pairs = [(softmax(a, temperature), softmax(b, temperature)) for a, b in each_pair(t, s)]
    assert js(t, s, temperature).tolist() == pytest.approx([jensenshannon(p, q) ** 2 for p, q in pairs], rel=1e-9)


def test_js_is_symmetric_and_at_most_ln_2():
    t, s = torch.eye(4).double() * 1e3, torch.eye(4).double().roll(1, 0) * 1e3
    assert js(t, s).tolist() == pytest.approx([log(2)] * 4)
    t, s = logits()
    torch.testing.assert_close(js(t, s), js(s, t))


def test_divergences_by_name():
    assert {"kl": kl, "l1": l1, "l2": l2, "js": js} == losses.DIVERGENCES


@pytest.mark.parametrize("function", EVERY)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 20.0])
def test_divergences_are_finite_and_not_negative(function, scale, temperature):
    t, s = logits(scale, torch.float32)
    s.requires_grad_()
    values = function(t, s, temperature)
    assert values.shape == (9,)
    assert values.dtype == torch.float32
    assert (values >= 0).all()
    assert values.isfinite().all()
    assert torch.autograd.grad(values.sum(), s)[0].isfinite().all()


@pytest.mark.parametrize("function", [kl, js])
def test_float32_rounding_is_clamped_at_0(function):
    t = torch.randn(4000, 10)
    s = t + 1e-6 * torch.randn(4000, 10)
    assert function(t, s).min() == 0
    assert function(t, s).max() < 1e-5


def test_without_the_clamp_kl_would_be_negative():
    t = torch.randn(4000, 10)
    log_p, log_q = t.log_softmax(1), (t + 1e-6 * torch.randn(4000, 10)).log_softmax(1)
    assert (log_p.exp() * (log_p - log_q)).sum(1).min() < 0


@pytest.mark.parametrize("function", EVERY)
def test_divergence_of_equal_logits_is_0(function):
    t, _ = logits()
    assert function(t, t).tolist() == pytest.approx([0] * 9, abs=1e-15)


def test_gradient_of_kl_keeps_its_size_as_the_temperature_grows():
    """For centred logits T^2 KL tends to the sum of (t - s)^2 / (2 classes), its gradient to (s - t) / classes."""
    t, s = logits()
    t, s = t - t.mean(1, keepdim=True), (s - s.mean(1, keepdim=True)).requires_grad_()
    (slope,) = torch.autograd.grad(kl(t, s, 1e4).sum(), s)
    torch.testing.assert_close(slope, ((s - t) / 5).detach(), rtol=1e-2, atol=1e-3)


# Losses of the generator


@TEMPERATURES
def test_class_entropy(temperature):
    t, _ = logits()
    rows = [softmax(row, temperature) for row in t.tolist()]
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    assert float(class_entropy(t, temperature)) == pytest.approx(-sum(p * log(p) for p in mean), rel=1e-10)


def test_class_entropy_of_classes_drawn_equally_is_ln_of_their_number():
    assert float(class_entropy(50 * torch.eye(10).repeat(3, 1))) == pytest.approx(log(10), rel=1e-6)


def test_class_entropy_of_one_class_is_0():
    assert float(class_entropy(torch.tensor([[60.0, 0.0, 0.0]]))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("gap", [10.0, 90.0, 110.0, 150.0, 1e4])
def test_gradient_of_class_entropy_is_finite_when_a_class_is_never_drawn(gap):
    """In float32 a mean prediction below 1e-45 is 0."""
    t = torch.zeros(6, 4)
    t[:, 0] = gap
    t.requires_grad_()
    entropy = class_entropy(t)
    assert entropy.isfinite()
    assert torch.autograd.grad(entropy, t)[0].isfinite().all()


def test_one_hot():
    t, _ = logits()
    assert float(one_hot(t)) == pytest.approx(-sum(log(max(softmax(row))) for row in t.tolist()) / 9, rel=1e-10)
    assert float(one_hot(1e3 * torch.eye(4))) == 0


def agreeing_and_not() -> tuple[torch.Tensor, torch.Tensor]:
    t, s = logits()
    s[:4] = t[:4] * 0.5  # agree on the label, not on its probability
    s[4:] = t[4:].roll(1, 1)  # do not agree
    return t, s


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_adversarial_counts_agreeing_samples_only_in_a_mean_over_all(temperature):
    t, s = agreeing_and_not()
    pairs = each_pair(t, s)
    slow = 0.0
    for a, b in pairs:
        if a.index(max(a)) == b.index(max(b)):
            slow -= slow_kl(a, b, temperature)
    assert float(adversarial(t, s, temperature)) == pytest.approx(slow / 9, rel=1e-10)
    assert slow < 0


def test_adversarial_would_differ_without_its_mask():
    t, s = agreeing_and_not()
    assert float(adversarial(t, s, 1.0)) != pytest.approx(-float(kl(t, s).mean()), rel=0.05)


def test_adversarial_takes_temperature_3_with_its_square():
    t, s = agreeing_and_not()
    assert float(adversarial(t, s)) == float(adversarial(t, s, 3.0))
    assert float(adversarial(t[:4], s[:4])) == pytest.approx(-float(kl(t[:4] / 3, s[:4] / 3).mean()) * 9)


def test_adversarial_gives_no_gradient_where_both_disagree():
    t, s = agreeing_and_not()
    t.requires_grad_()
    (slope,) = torch.autograd.grad(adversarial(t, s), t)
    assert (slope[:4].abs().sum(1) > 0).all()
    assert (slope[4:] == 0).all()


def test_adversarial_is_0_when_none_agree():
    t = torch.eye(3).requires_grad_()
    value = adversarial(t, torch.eye(3).roll(1, 1))
    assert value == 0
    assert torch.autograd.grad(value, t)[0].isfinite().all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 50.0, 1e4])
def test_gradients_of_the_generators_terms_are_finite(scale):
    t, s = logits(scale, torch.float32)
    t.requires_grad_()
    for term in (class_entropy(t), one_hot(t), adversarial(t, s), adversarial(t, t.detach() * 0.9)):
        assert term.shape == ()
        assert torch.autograd.grad(term, t)[0].isfinite().all()


# BatchNorm statistics


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4))
    )
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
    return net.eval()


def slow_distance(layer: nn.BatchNorm2d, inputs: torch.Tensor) -> float:
    means, variances = [], []
    for channel in range(inputs.shape[1]):
        values = inputs[:, channel].flatten().tolist()
        mean = sum(values) / len(values)
        means.append(mean)
        variances.append(sum((v - mean) ** 2 for v in values) / len(values))
    pairs = (variances, layer.running_var.tolist()), (means, layer.running_mean.tolist())
    return sum(sqrt(sum((a - b) ** 2 for a, b in zip(computed, stored, strict=True))) for computed, stored in pairs)


def statistics_on(net: nn.Module) -> BatchNormStatistics:
    return BatchNormStatistics(net, [name for name, layer in net.named_modules() if stored(layer)])


def distance(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    statistics = statistics_on(net)
    with statistics.recording():
        return statistics(x)[1]


def test_batch_norm_statistics_sum_over_layers_with_biased_variance():
    net, x = network(), torch.rand(2, 2, 5, 5)
    inner = net[2](net[1](net[0](x)))
    before_first, before_second = net[0](x), net[3][0](inner)
    slow = slow_distance(net[1], before_first) + slow_distance(net[3][1], before_second)
    assert distance(net, x).item() == pytest.approx(slow, rel=1e-5)


def test_batch_norm_statistics_have_no_bessel_correction():
    """-2 and 2 have mean 0 and variance 4 (8 with Bessel's correction): 3 away from the 0 and 1 of a new layer."""
    assert distance(nn.BatchNorm2d(1).eval(), torch.tensor([-2.0, 2.0]).view(2, 1, 1, 1)).item() == 3


def test_batch_norm_statistics_in_training_mode_look_at_the_layers_input():
    net, x = network(), torch.rand(4, 2, 5, 5)
    slow = slow_distance(net[1], net[0](x))
    assert distance(net[:2].train(), x).item() == pytest.approx(slow, rel=1e-5)


def test_batch_norm_statistics_of_matching_input_are_0_with_finite_gradient():
    x = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).requires_grad_()
    value = distance(nn.BatchNorm2d(1).eval(), x)
    assert value == 0
    assert torch.autograd.grad(value, x)[0].isfinite().all()


def test_batch_norm_statistics_reach_the_images():
    x = torch.rand(3, 2, 5, 5, requires_grad=True)
    (slope,) = torch.autograd.grad(distance(network(), x), x)
    assert slope.isfinite().all()
    assert (slope != 0).any()


def test_batch_norm_statistics_give_the_networks_logits_and_keep_no_graph():
    net, x = network(), torch.rand(3, 2, 5, 5, requires_grad=True)
    statistics = statistics_on(net)
    with statistics.recording():
        logits, term = statistics(x)
    assert torch.equal(logits, net(x))
    alive = weakref.ref(x)
    del x
    assert alive() is not None  # the results hold the graph, and that its images
    del logits, term
    assert alive() is None


def hooks(net: nn.Module) -> int:
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in net.modules())


def test_hooks_are_on_only_while_recording():
    net = network()
    statistics = statistics_on(net)
    assert hooks(net) == 0
    with statistics.recording():
        assert hooks(net) == 2
    assert hooks(net) == 0


def test_hooks_come_off_after_an_exception_and_what_was_seen_is_forgotten():
    net, x = network(), torch.rand(3, 2, 5, 5)
    statistics, alone = statistics_on(net), distance(net, x)
    handle = net[-1].register_forward_hook(lambda *_: {}["nothing"])  # after both layers were looked at
    with pytest.raises(KeyError), statistics.recording():
        statistics(x)
    handle.remove()
    assert hooks(net) == 0
    with statistics.recording():
        assert statistics(x)[1] == alone


def test_hooks_of_others_stay():
    net, seen = network(), []
    net[1].register_forward_pre_hook(lambda *_: seen.append(1))
    distance(net, torch.rand(3, 2, 5, 5))
    net(torch.rand(3, 2, 5, 5))
    assert len(seen) == 2


def test_a_layer_that_is_passed_twice_counts_twice():
    once, x = nn.BatchNorm2d(2).eval(), torch.rand(3, 2, 5, 5)
    twice = nn.Sequential(once, nn.Identity(), once)
    assert distance(twice, x).item() == pytest.approx(distance(once, x).item() + distance(once, once(x)).item())


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Conv2d(1, 2, 3)),
        nn.Sequential(nn.InstanceNorm2d(2, track_running_stats=True)),
        nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)),
    ],
    ids=["none", "of single images", "no statistics"],
)
def test_a_teacher_without_batch_norm_is_refused_in_one_line(net):
    with pytest.raises(ConfigError) as error:
        layers_with_statistics(net, torch.rand(2, 2, 5, 5))
    line = str(error.value)
    assert "\n" not in line
    assert "BatchNorm layer" in line
    assert "bn=0" in line
