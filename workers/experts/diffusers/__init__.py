"""Experts that draw with a pipeline of diffusers: any that takes a picture and a prompt."""
