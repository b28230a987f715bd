"""Verification of a store, part by part; `manifests.verify` puts the parts together."""
