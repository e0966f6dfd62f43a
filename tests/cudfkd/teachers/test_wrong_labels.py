"""Wrong labels of a noisy teacher: how many, and which classes."""

import pytest
import torch

from cudfkd.teachers.wrong_labels import mislabelled


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_a_share_of_the_labels_is_wrong_and_every_other_class_as_likely(share, classes):
    right = torch.arange(20_000) % classes
    mixed = mislabelled(right, share, classes, seed=3)
    wrong = mixed != right
    assert int(wrong.sum()) == round(share * 20_000)
    assert mislabelled(right, share, classes, seed=3).equal(mixed)
    assert right.equal(torch.arange(20_000) % classes)
    if share:
        moved = ((mixed - right) % classes)[wrong].bincount(minlength=classes)[1:]
        expected = len(right) * share / (classes - 1)
        assert (moved - expected).abs().max() < 5 * expected**0.5
        assert not mislabelled(right, share, classes, seed=4).equal(mixed)
