"""Experts behind an image-edit endpoint in OpenAI's form."""
