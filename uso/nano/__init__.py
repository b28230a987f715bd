"""The nano vision tower: small enough to ship with its weights, and to run on a CPU."""
