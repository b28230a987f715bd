"""Towers turn images into unit vectors: one class for each library, one contract for all of them."""
