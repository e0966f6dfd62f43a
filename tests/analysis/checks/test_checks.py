import json

import numpy as np
import pytest
import torch

from analysis.checks import CheckError, check, merge, require, table
from cudfkd.base.errors import ConfigError


def judged(violations, without=(1.0,), **more):
    return check("name", "statement", "T1", violations, ("left out", without), **more)


def test_holds_and_its_control_fails():
    result = judged([-1.0, 1e-11], [0.0, 2.0])
    assert (result.verdict, result.worst_violation, result.n, result.control.violation) == ("holds", 1e-11, 2, 2.0)
    assert result.passed


def test_fails():
    result = judged([0.0, 1e-9])
    assert result.verdict == "fails"
    assert not result.passed


def test_void_when_the_control_holds():
    result = judged([0.0], [0.0])
    assert result.verdict == "void"
    assert result.holds
    assert not result.passed


def test_a_violation_that_refutes_nothing_leaves_a_statement_undecided():
    assert judged([1.0], refuted=False).verdict == "undecided"
    assert judged([0.0], refuted=False).verdict == "holds"
    assert judged([1.0], [0.0], refuted=False).verdict == "void"
    assert merge([judged([1.0], refuted=False), judged([0.0])]).verdict == "undecided"
    assert merge([judged([1.0], refuted=False), judged([1.0])]).verdict == "fails"


def test_nan_is_a_violation_and_no_control():
    assert judged([0.0, float("nan"), -1.0]).verdict == "fails"
    assert judged([0.0], [float("nan")]).verdict == "void"


@pytest.mark.parametrize("empty", [[], torch.zeros(0), np.zeros(0)], ids=["list", "tensor", "array"])
def test_no_case_is_no_evidence(empty):
    with pytest.raises(ConfigError, match="number of violations"):
        judged(empty)


def test_negative_tolerance_is_refused():
    with pytest.raises(ConfigError, match="tolerance = -1.0"):
        judged([0.0], tolerance=-1.0)


def test_plain_data_for_json():
    plain = json.loads(json.dumps(judged([float("inf")], claims=("C2",)).to_dict(), allow_nan=False))
    assert plain["worst_violation"] == "inf"
    assert plain["verdict"] == "fails"
    assert plain["claims"] == ["C2"]
    assert plain["control"] == {"name": "left out", "holds": False, "violation": 1.0}


def test_merge_keeps_the_worst_and_the_weakest_control():
    merged = merge([judged([0.0], [3.0]), judged([1e-3, 0.0], [2.0]), judged([-1.0], [5.0])])
    assert (merged.verdict, merged.worst_violation, merged.n, merged.control.violation) == ("fails", 1e-3, 4, 2.0)
    assert merge([judged([0.0]), judged([0.0], [0.0])]).verdict == "void"
    assert merge([judged([0.0]), judged([float("nan")])]).verdict == "fails"


def test_require_names_what_did_not_pass():
    require([judged([0.0])])
    with pytest.raises(CheckError, match=r"1 checks did not pass: name \(fails, worst 0.1\)"):
        require([judged([0.0]), judged([0.1])])


def test_float32_is_refused_where_it_cannot_tell():
    assert judged(torch.zeros(3), torch.ones(1), tolerance=1e-5).passed
    with pytest.raises(ConfigError, match="violations of name is torch.float32, which cannot resolve .* 1e-10"):
        judged(torch.zeros(3))
    with pytest.raises(ConfigError, match="violations of the control of name is torch.float32"):
        judged([0.0], np.ones(2, np.float32))


@pytest.mark.parametrize("take", [require, merge, table], ids=lambda take: take.__name__)
def test_no_check_is_no_evidence(take):
    with pytest.raises(ConfigError, match="number of checks = 0"):
        take([])


def test_merge_judges_each_by_its_own_tolerance():
    merged = merge([judged([0.5], tolerance=1.0, without=[2.0]), judged([1e-3], exact=False)])
    assert (merged.verdict, merged.worst_violation, merged.exact) == ("fails", 1e-3, False)
    hidden = merge([judged([0.0]), judged([0.0], without=[5.0], tolerance=10.0)])
    assert (hidden.verdict, hidden.control.violation) == ("void", 5.0)


def test_table_says_what_kind():
    shown = table([judged([0.0]), judged([0.0], exact=False), judged([0.0], by_construction=True)])
    assert list(shown["kind"]) == ["exact", "statistical", "by construction"]
