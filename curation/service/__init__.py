"""The service: one process in front of a store and a cluster, which holds no state that the store does not."""
