"""Small vision towers fitted here, with a style head and a subject head."""
