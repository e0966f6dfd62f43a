"""The loop of a distillation, with its checks, its evaluation, its progress bar and its result."""
