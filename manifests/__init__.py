"""The data contract: records, tables, shards and their index; no Ray, no torch, no models."""
