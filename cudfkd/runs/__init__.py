"""One run: its values, its state, what watches it, its folder."""
