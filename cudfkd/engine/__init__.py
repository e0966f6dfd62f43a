"""The loop of a distillation, and what stands around it."""
