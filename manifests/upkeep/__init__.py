"""Upkeep of a store: clearing away what no commit names, joining what is small, letting go of old versions."""
