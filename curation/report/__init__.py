"""The report: one self-contained page on what a store holds and why the rest was rejected."""
