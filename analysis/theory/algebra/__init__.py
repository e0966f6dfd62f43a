"""The algebra of the theorems, in sympy."""
