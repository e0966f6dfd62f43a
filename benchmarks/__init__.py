"""What is measured by running it: each module is a command, see its docstring."""
