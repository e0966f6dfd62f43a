"""The theory, theorems T1 to T9: derivations in sympy, exact checks with controls that must fail, counterexamples."""
