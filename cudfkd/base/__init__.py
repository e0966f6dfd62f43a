"""What every program needs and that knows nothing of distillation: errors, files, devices, processes."""
