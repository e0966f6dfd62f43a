"""The theory, theorems T1 to T14: derivations in sympy, exact checks with controls that must fail, counterexamples."""
