"""Tools that know nothing of distillation: errors, files, devices, processes."""
