"""TF32 is off inside the block, and afterwards what it was, however it was set."""

import pytest
import torch

from cudfkd.tf32 import is_on, tf32_off

BACKENDS, CUDNN, MATMUL = torch.backends, torch.backends.cudnn, torch.backends.cuda.matmul
NEW = hasattr(CUDNN, "conv")
SET = {
    "as it comes": [],
    "both on": [(CUDNN, "allow_tf32", True), (MATMUL, "allow_tf32", True)],
    "both off": [(CUDNN, "allow_tf32", False), (MATMUL, "allow_tf32", False)],
    **({
        "everything": [(BACKENDS, "fp32_precision", "tf32")],
        "nothing": [(BACKENDS, "fp32_precision", "ieee")],
        "matmul alone": [(CUDNN.conv, "fp32_precision", "ieee"), (MATMUL, "fp32_precision", "tf32")],
    } if NEW else {}),
}  # fmt: skip


def state() -> list:
    """All that can be read; of names that do not go together torch refuses the older ones."""
    names = [(CUDNN, "allow_tf32"), (MATMUL, "allow_tf32")]
    if NEW:
        names += [(place, "fp32_precision") for place in (BACKENDS, CUDNN, CUDNN.conv, CUDNN.rnn, MATMUL)]
    found = []
    for place, name in names:
        try:
            found.append(getattr(place, name))
        except RuntimeError:
            found.append("refused")
    return found


@pytest.fixture(params=SET)
def _set(request):
    before = (CUDNN.allow_tf32, MATMUL.allow_tf32)
    for place, name, value in SET[request.param]:
        setattr(place, name, value)
    yield
    if NEW:
        BACKENDS.fp32_precision = "none"
    CUDNN.allow_tf32, MATMUL.allow_tf32 = before


@pytest.mark.usefixtures("_set")
def test_it_is_off_inside_and_as_it_was_afterwards():
    before = state()
    with tf32_off():
        assert not is_on()
        if NEW:
            assert "tf32" not in (CUDNN.conv.fp32_precision, MATMUL.fp32_precision)
    assert state() == before


@pytest.mark.usefixtures("_set")
def test_an_error_leaves_it_as_it_was():
    before = state()
    with pytest.raises(KeyError), tf32_off():
        raise KeyError
    assert state() == before


def test_convolutions_have_it_from_the_start():
    assert is_on()
