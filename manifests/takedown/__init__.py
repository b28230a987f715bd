"""Taking an image down: everywhere, with all that was made of it, and so that it does not come back."""
