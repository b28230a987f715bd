"""Watching a run: its metrics on disk, in TensorBoard and W&B, a live display, and a report with its curves."""
