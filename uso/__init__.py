"""The USO model: network, conditioning, checkpoints, sampler (arXiv 2508.18966)."""
