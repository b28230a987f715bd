"""Captions: what a target shows, in words, from a model that looks at it."""
