"""Counted classes: a hand count, the last epoch alone, and what an even draw gives."""

import pytest
import torch

from analysis.live.classes import Classes
from cudfkd.callbacks import Batch
from tests.cudfkd.methods.tiny import config, context


def counted(batches, **changes):
    """The numbers of batches whose images have the given classes, one batch a student step."""
    ctx, watch = context(config("dafl", **changes)), Classes()
    ctx.soft_labels = lambda images: torch.eye(10)[images.flatten(1)[:, 0].long()]
    for step, classes in enumerate(batches):
        ctx.step = step
        images = torch.tensor(classes, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 16, 16)
        watch.after_student_step(ctx, Batch(images, torch.zeros(len(classes)), torch.ones(len(classes))))
    return watch.numbers()


def test_classes_are_counted_by_hand():
    numbers = counted([[0, 0, 0, 5], [1, 2, 3, 4]], epochs=1, steps_per_epoch=2)
    assert numbers == {"classes": 3.0, "largest_class": 0.5}


def test_only_the_last_epoch_counts():
    numbers = counted([[0] * 4, [0] * 4, [1, 1, 2, 2], [3, 4, 5, 6]], epochs=2, steps_per_epoch=2)
    assert numbers == {"classes": 3.0, "largest_class": 0.375}


def test_an_even_draw_has_the_number_of_classes_that_the_docstring_says():
    draws = torch.randint(10, (400, 64), generator=torch.Generator().manual_seed(0)).tolist()
    assert counted(draws, epochs=1, steps_per_epoch=400)["classes"] == pytest.approx(10 * (1 - 0.9**64), abs=0.01)
