"""Experts that draw: any checkpoint in USO's format, as a stylization or as a de-stylization expert."""
