from math import inf, nan

import pytest
import torch

from cudfkd.runs.log import EpochLog


def log_of(**values: list) -> EpochLog:
    """An epoch log with one value a step under each name, from step 0 on."""
    log = EpochLog()
    for step in range(max(len(series) for series in values.values())):
        for name, series in values.items():
            if step < len(series):
                log.add(name, torch.as_tensor(series[step]), step)
    return log


def test_mean_and_all():
    log = log_of(a=[1.0, 2.0, 6.0], b=[[1.0, 2.0], [3.0, 4.0]])
    assert log.mean("a") == 3
    assert log.all("a").tolist() == [1, 2, 6]
    assert log.all("b").shape == (2, 2)


def test_names_come_in_the_order_of_first_appearance():
    log = EpochLog()
    for name in ("z", "a", "z", "m"):
        log.add(name, torch.tensor(1.0), 0)
    assert log.names() == ["z", "a", "m"]


def test_an_integer_has_a_mean():
    assert log_of(a=[1, 2]).mean("a") == 1.5


def test_nothing_of_the_graph_is_kept():
    log = EpochLog()
    log.add("a", torch.tensor(2.0, requires_grad=True) * 3, 0)
    assert not log.all("a").requires_grad
    assert log.all("a").grad_fn is None


def test_all_finite():
    assert EpochLog().not_finite() is None
    assert log_of(a=[1.0, 2.0], b=[[0.0, 1e38]]).not_finite() is None


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_the_first_bad_term_and_its_step_are_named(bad):
    log = log_of(a=[1.0, 1.0, 1.0, bad], b=[1.0, 1.0, bad, 1.0, bad], c=[1.0] * 5)
    assert log.not_finite() == (["b"], 2)


def test_terms_that_went_bad_together_are_all_named():
    log = log_of(a=[1.0, nan], b=[1.0, 1.0, nan], c=[0.0, inf])
    assert log.not_finite() == (["a", "c"], 1)


def test_one_bad_value_of_a_batch_counts():
    assert log_of(a=[[1.0, 2.0], [1.0, nan]]).not_finite() == (["a"], 1)


def test_steps_are_those_that_were_given():
    """The log has the terms of a round's synthesis at every tenth student step; some terms start later in a run."""
    log = EpochLog()
    for step in range(100, 130):
        log.add("objective", torch.tensor(nan if step >= 120 else 1.0), step)
        if step % 10 == 0:
            log.add("bn_term", torch.tensor(nan if step >= 110 else 1.0), step)
    assert log.not_finite() == (["bn_term"], 110)


def test_of_two_events_at_one_step_the_earlier_is_named():
    """A failed synthesis spoils the next student step, at the same count of student steps."""
    log = EpochLog()
    log.add("one_hot_term", torch.tensor(1.0), 10)
    log.add("bn_term", torch.tensor(nan), 10)
    log.next_event()
    log.add("objective", torch.tensor(nan), 10)
    assert log.not_finite() == (["bn_term"], 10)


def test_several_notes_at_one_step():
    log = EpochLog()
    for value in (1.0, nan, 1.0):
        log.add("a", torch.tensor(value), 7)
    log.add("a", torch.tensor(1.0), 8)
    assert log.not_finite() == (["a"], 7)
