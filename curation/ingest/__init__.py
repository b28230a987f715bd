"""Safe ingest: decode under limits, or refuse with a reason."""
