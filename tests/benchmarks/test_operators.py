"""The operators of the engine are counted by family."""

import pytest

from benchmarks import operators
from benchmarks.loops import Setting
from cudfkd.base.files import read_json
from cudfkd.base.machine import hardware


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("aten::convolution_backward", "convolutions, backward"),
        ("aten::_convolution", "convolutions, forward"),
        ("aten::mkldnn_convolution", "convolutions, forward"),
        ("aten::native_batch_norm_backward", "BatchNorm"),
        ("aten::avg_pool2d", "pooling"),
        ("aten::addmm", "matrix products"),
        ("aten::_fused_sgd_", "optimizers"),
        ("aten::empty_strided", "new memory"),
        ("aten::copy_", "copies"),
        ("aten::relu", "the rest"),
    ],
)
def test_an_operator_belongs_to_one_family(name, family):
    assert operators.family_of(name) == family


def test_calls_are_counted_for_a_student_step():
    found = operators.families((Setting("lenet5", batch_size=4), 2), 1.0)
    rows = found["families"]
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    assert list(rows) == sorted(rows, key=lambda family: -rows[family]["share"])
    assert rows["optimizers"]["calls"] >= 1.5  # the student's at each step, the generator's at each second step
    assert rows["convolutions, backward"]["calls"] >= 3  # of the student alone


def test_the_result_is_filed_and_printed(tmp_path, capsys):
    file = tmp_path / "operators.json"
    assert operators.main(["--rounds", "1", "--out", str(file)]) == 0
    assert list(read_json(file)) == [hardware("cpu")]
    assert "| convolutions, forward |" in capsys.readouterr().out
    assert operators.main(["--pair", "lenet6"]) == 2
    assert "lenet6" in capsys.readouterr().err
