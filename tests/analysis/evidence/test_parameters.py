"""The parameters of every notebook: which values are refused, in one line, before anything runs."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from analysis import plots
from analysis.evidence.parameters import Declared, check_values, declared_parameters
from analysis.origin import NOTEBOOKS
from analysis.theory import envelope
from cudfkd.base.errors import ConfigError

DECLARED = {path.stem: declared_parameters(path) for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))}
ROWS = [(notebook, name) for notebook, declared in DECLARED.items() for name in declared]
BAD = {"zero": 0, "negative": -1, "nan": float("nan"), "infinite": float("inf"), "word": "nothing", "none": None}
LEGAL = {"zero": {"seed", "loss", "touching"}, "word": {"profile", "out_dir", "again_in"}}  # Record knows the profiles


@pytest.mark.parametrize(("notebook", "name"), ROWS)
def test_a_bad_value_of_a_parameter_is_refused_in_one_line(notebook, name):
    many = DECLARED[notebook][name].kind.startswith("list")
    values = {word: [value] if many else value for word, value in BAD.items()} | {"empty": []}
    for word, value in values.items():
        if name in LEGAL.get(word, ()):
            check_values(notebook, DECLARED[notebook], {name: value})
            continue
        with pytest.raises(ConfigError) as refused:
            check_values(notebook, DECLARED[notebook], {name: value})
        assert str(refused.value).startswith(f"{name} = {value!r} is not allowed in {notebook}: it must ")


@pytest.mark.parametrize(("notebook", "name"), ROWS)
def test_every_number_says_its_range_and_the_default_lies_in_it(notebook, name):
    kind, bound = DECLARED[notebook][name]
    assert bool(bound) == (kind in ("int", "float", "list[int]", "list[float]"))


def test_the_edge_of_a_range_is_allowed_and_the_next_number_is_not():
    declared = {"seeds": Declared("int", "2 or more"), "lam": Declared("float", "above 0")}
    check_values("a", declared, {"seeds": 2, "lam": 1e-9})
    for wrong in ({"seeds": 1}, {"lam": 0.0}):
        with pytest.raises(ConfigError, match="it must be (2 or more|above 0)"):
            check_values("a", declared, wrong)


def test_the_figures_of_a_loss_take_the_loss_0():
    curve = envelope.curves("log", [2.0], np.linspace(0, 10, 50))
    plots.one_weight("log", 2.0, 0.0)
    plots.slider_frames("log", [1.0], 0.0)
    plots.area(curve, 0.0)
    plots.tangent_lines(curve, envelope.tangents("log", 2.0, [0], np.linspace(0, 10, 50)))
    plt.close("all")
