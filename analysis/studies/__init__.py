"""Many runs that are compared with each other."""
