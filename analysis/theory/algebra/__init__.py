"""The theorems' algebra, in sympy."""
