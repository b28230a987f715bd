"""Auditing a store: what is in it, why, where from, and where it went. Everything here only reads."""
