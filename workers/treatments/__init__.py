"""Treatments: known, seeded, deterministic paintings of an image, one class a file."""
