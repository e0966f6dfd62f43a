"""Groups of features in one plane: clusters stay apart, and the same seed gives the same plane."""

import numpy as np
import pytest
import torch

from analysis.live.embedding import embed
from cudfkd.base.errors import ConfigError


def test_clusters_that_are_far_apart_stay_apart():
    groups = {"a": torch.randn(20, 8), "b": torch.randn(12, 8) + 30}
    placed = embed(groups, perplexity=5)
    assert {name: points.shape for name, points in placed.points.items()} == {"a": (20, 2), "b": (12, 2)}
    a, b = placed.points["a"], placed.points["b"]
    within = np.linalg.norm(a - a.mean(0), axis=1).max()
    assert np.linalg.norm(b - a.mean(0), axis=1).min() > within
    assert 0 <= placed.kl < 2
    again = embed(groups, perplexity=5)
    np.testing.assert_array_equal(again.points["a"], a)


def test_a_handful_of_points_is_refused():
    with pytest.raises(ConfigError, match="number of points = 4"):
        embed({"a": torch.randn(4, 3)})
