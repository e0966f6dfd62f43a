"""The theory, T1 to T9: derivations in sympy, checks to rounding error with controls that must fail, counterexamples."""
