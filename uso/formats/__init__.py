"""File formats of FLUX.1 and USO, each as a table of its tensors."""
