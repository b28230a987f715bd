"""Export: a store's accepted triplets in forms that others read, with Croissant metadata and attributions."""
