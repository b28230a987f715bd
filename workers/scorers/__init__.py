"""Scorers measure one number about a candidate; they never decide."""
