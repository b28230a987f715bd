"""Endpoints in OpenAI's form: where they stand, what may be spent on them, and what goes wrong with them."""
