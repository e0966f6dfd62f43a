"""Images as a teacher sees them: its features, its classes, and terms with known values."""

from math import log

import pytest
import torch
from torch import nn

from analysis.live.features import Seen, seen
from cudfkd import models
from cudfkd.base.errors import ConfigError


def test_features_are_the_inputs_of_the_last_layer():
    teacher = models.build("lenet5", 10, 1, 28, seed=0).eval()
    images = torch.rand(7, 1, 28, 28)
    looked = seen(teacher, images, (0.3,), (0.4,))
    assert looked.features.shape == (7, 84)
    torch.testing.assert_close(teacher.classifier[-1](looked.features), looked.logits)
    torch.testing.assert_close(teacher((images - 0.3) / 0.4), looked.logits)
    assert looked.counts.sum() == 7
    assert not looked.features.requires_grad


def test_the_terms_have_their_bounds():
    certain = Seen(torch.full((4, 3), -2.0), 50 * torch.eye(4))
    assert certain.terms == pytest.approx(
        {"negative class entropy": -log(4), "certainty": 0.0, "activation": -2.0}, abs=1e-6
    )
    undecided = Seen(torch.zeros(4, 3), torch.zeros(4, 4))
    assert undecided.terms["certainty"] == pytest.approx(log(4))
    assert certain.classes.tolist() == [0, 1, 2, 3]


def test_a_teacher_without_a_linear_layer_has_no_features():
    with pytest.raises(ConfigError, match="has no linear layer"):
        seen(nn.Conv2d(1, 2, 1), torch.rand(1, 1, 4, 4), None, None)
