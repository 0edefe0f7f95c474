"""The training loop, the compiled step, and what a run leaves behind."""
