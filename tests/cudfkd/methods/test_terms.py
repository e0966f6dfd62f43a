"""Loss terms against slow implementations, sample by sample and pixel by pixel."""

from math import exp, log

import pytest
import torch
from torch.nn.functional import kl_div, log_softmax, softmax

from cudfkd.methods.parts import terms
from tests.cudfkd.methods.tiny import images

t, s = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1)).unbind()


def test_gap_is_minus_the_mean_divergence():
    expected = -sum(float(kl_div(log_softmax(b, 0), softmax(a, 0), reduction="sum")) for a, b in zip(t, s, strict=True))
    assert float(terms.gap("kl", t, s)) == pytest.approx(expected / 5, rel=1e-5)
    assert float(terms.gap("l1", t, s)) == pytest.approx(-float((t - s).abs().mean()))
    assert float(terms.gap("kl", t, t)) == 0


def test_total_variation_is_the_mean_step_between_neighbours():
    x = images(2, 4)
    down = [abs(float(x[n, 0, i + 1, j] - x[n, 0, i, j])) for n in range(2) for i in range(3) for j in range(4)]
    right = [abs(float(x[n, 0, i, j + 1] - x[n, 0, i, j])) for n in range(2) for i in range(4) for j in range(3)]
    inner = [(n, i, j) for n in range(2) for i in range(3) for j in range(3)]
    falling = [abs(float(x[n, 0, i + 1, j + 1] - x[n, 0, i, j])) for n, i, j in inner]
    rising = [abs(float(x[n, 0, i + 1, j] - x[n, 0, i, j + 1])) for n, i, j in inner]
    expected = sum(down) / 24 + sum(right) / 24 + sum(falling) / 18 + sum(rising) / 18
    assert float(terms.total_variation(x)) == pytest.approx(expected, rel=1e-5)
    assert float(terms.total_variation(torch.full((2, 1, 4, 4), 0.3))) == 0


def test_attention_gap_pixel_by_pixel():
    a, b = torch.randn(3, 4, 2, 2), torch.randn(3, 6, 2, 2)  # numbers of channels differ, as between networks
    for sample, gap in enumerate(terms.attention_gap([a, a], [b, a])):
        looks = []
        for maps in (a, b):
            squares = [
                sum(float(c[i, j]) ** 2 for c in maps[sample]) / len(maps[sample]) for i in (0, 1) for j in (0, 1)
            ]
            norm = sum(q * q for q in squares) ** 0.5
            looks.append([q / norm for q in squares])
        expected = sum((p - q) ** 2 for p, q in zip(*looks, strict=True)) / 4  # the second pair of layers agrees
        assert float(gap) == pytest.approx(expected, rel=1e-4)


def test_info_nce_by_its_formula():
    a, p = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(2)).unbind()
    product = lambda x, y: float(x @ y) / 0.2  # noqa: E731
    for i, loss in enumerate(terms.info_nce(a, p, 0.2)):
        total = sum(exp(product(a[i], p[j])) for j in range(4))
        assert float(loss) == pytest.approx(-log(exp(product(a[i], p[i])) / total), rel=1e-4)


def test_the_clamped_divergence_class_by_class():
    t, s = torch.tensor([[9.0, 0.0, 0.0], [0.5, 0.1, -0.3]]), torch.tensor([[0.0, 4.0, 0.0], [0.5, 0.1, -0.3]])
    for i, value in enumerate(terms.clamped_js(t, s, 2.0)):
        p, q = softmax(t[i] / 2, 0).tolist(), softmax(s[i] / 2, 0).tolist()
        total = 0.0
        for a, b in zip(p, q, strict=True):
            a, b, m = (min(max(x, 0.01), 0.99) for x in (a, b, (a + b) / 2))
            total += m * (log(m) - log(a)) / 2 + m * (log(m) - log(b)) / 2
        assert float(value) == pytest.approx(total, rel=1e-4, abs=1e-6)


def test_info_nce_is_least_when_every_image_is_told_apart():
    apart, alike = torch.eye(4), torch.ones(4, 4) / 2
    assert float(terms.info_nce(apart, apart, 0.1).max()) < 1e-3
    assert float(terms.info_nce(alike, alike, 0.1).min()) == pytest.approx(log(4), rel=1e-4)


def test_kl_to_normal_by_sampling():
    mean, log_variance = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.2, -0.7]])
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    x = q.sample((200_000,))
    sampled = (q.log_prob(x) - torch.distributions.Normal(0.0, 1.0).log_prob(x)).sum(-1).mean()
    assert float(terms.kl_to_normal(mean, log_variance)) == pytest.approx(float(sampled), rel=0.02)
    assert float(terms.kl_to_normal(torch.zeros(3, 2), torch.zeros(3, 2))) == 0


def test_moments_are_zero_for_standardised_numbers_only():
    z = torch.randn(8, 5)
    z = (z - z.mean(0)) / z.std(0)
    assert float(terms.moments(z)) == pytest.approx(0, abs=1e-9)
    assert float(terms.moments(2 * z + 1)) == pytest.approx(1 + 9, rel=1e-4)
    shifted = z + torch.tensor([1.0, -1.0, 1.0, -1.0, 0.0])  # the mean over all numbers stays 0
    assert float(terms.moments(shifted)) == pytest.approx(4 / 5, rel=1e-4)


def test_channel_means_stand_side_by_side():
    seen = {"a": torch.randn(2, 3, 4, 4), "b": torch.randn(2, 5, 2, 2)}
    means = terms.channel_means(seen)
    assert means.shape == (2, 8)
    assert float(means[1, 4]) == pytest.approx(float(seen["b"][1, 1].mean()), rel=1e-5)
