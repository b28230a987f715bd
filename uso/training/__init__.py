"""Training USO from curated shards: data, stages, reward, loop, state (arXiv 2508.18966, 3.3 and 3.4)."""
