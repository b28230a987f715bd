"""Experts make the other two images of a triplet: a style reference and a content reference."""
