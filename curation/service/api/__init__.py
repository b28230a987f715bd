"""The service's answers to programs, below `/v1`."""
