"""Style reward learning (USO 3.4, Algorithm 1): rollout, scorers, loss, and a watch-dog over the content."""
