"""A change of the code's structure leaves descriptions, keys, command lines, errors and weights unchanged."""

import json

import pytest
import torch

from cudfkd import methods
from tests import contract

RECORDED = json.loads(contract.FILE.read_text())


@pytest.mark.parametrize("part", ["descriptions", "command_lines", "errors"])
def test_what_others_rely_on_is_as_it_was(part):
    now = json.loads(json.dumps(getattr(contract, part)()))
    assert now.keys() == RECORDED[part].keys()
    for name, value in now.items():
        assert value == RECORDED[part][name], name


@pytest.mark.parametrize("method", methods.names())
def test_a_short_run_gives_the_weights_that_it_gave(method):
    """Equal to the bit on the recorded machine. On another machine rounding differs and grows over twenty steps."""
    now, then = contract._metrics_and_hashes(method), RECORDED["runs"][method]
    if contract.machine() == RECORDED["machine"]:
        assert now == then
    for row, recorded in zip(now["rows"], then["rows"], strict=True):
        assert row == pytest.approx(recorded, rel=0.05)


def test_other_weights_have_another_hash():
    network = torch.nn.Linear(2, 2)
    before = contract._hash(network)
    with torch.no_grad():
        network.weight[0, 0] += 1e-7
    assert contract._hash(network) != before
