import sympy as sp

from analysis.theory.algebra.proof import by_hand, identities, identity, limits, nonnegative, prose, reduce, refuted

x, y = sp.symbols("x y", positive=True)
z = sp.Symbol("z", real=True)


def test_identity():
    right = identity("square", "Binomial.", (x + y) ** 2, x**2 + 2 * x * y + y**2)
    wrong = identity("square", "Binomial.", (x + y) ** 2, x**2 + y**2)
    assert (right.proved, right.reduced, right.verdict) == (True, "0", "0")
    assert (wrong.proved, wrong.verdict) == (False, "numeric")
    assert "checked numerically" in wrong._repr_markdown_()


def test_identities_need_every_line():
    good, bad = (x + x, 2 * x), (x + x, 3 * x)
    assert identities("both", "", [good, good], (), "f").proved
    assert not identities("both", "", [good, bad], (), "f").proved


def test_sign_needs_positive_symbols():
    assert nonnegative("sum", "", "x + y", x + y).proved
    assert not nonnegative("difference", "", "x - y", x - y).proved
    assert nonnegative("charted", "", "x - y", x - y, ({x: y + z**2},)).proved


def test_limits():
    assert limits("decay", "", [("e", lambda: sp.limit(sp.exp(-x), x, sp.oo), sp.S.Zero)]).proved
    assert not limits("decay", "", [("e", lambda: sp.limit(sp.exp(-x), x, sp.oo), sp.S.One)]).proved
    assert limits("growth", "", [("x", lambda: sp.limit(x, x, sp.oo), sp.oo)]).proved
    assert not limits("growth", "", [("x", lambda: sp.limit(x, x, sp.oo), sp.S.One)]).proved


def test_refutation_needs_a_negative_number():
    assert refuted("wrong", "", "", sp.log(sp.Rational(1, 2)), "ln 1/2").verdict == "fails"
    assert not refuted("right", "", "", sp.log(2), "ln 2").proved


def test_by_hand_says_so():
    proof = by_hand("step", "A step.", "x", "Because.")
    assert (proof.verdict, proof.proved, proof.argued) == ("by hand", False, True)
    assert "By hand. Because." in proof._repr_markdown_()


def test_prose_keeps_asterisks_outside_formulas():
    assert prose("v* and l_i, $v^*$") == r"v\* and l\_i, $v^*$"


def test_reduce_does_not_take_logarithms_of_unknown_sign_apart():
    assert reduce(sp.log(z**2) - 2 * sp.log(z)) != 0
