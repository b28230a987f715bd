"""Published encoders that metrics are measured with, loaded from a folder, a file or the hub."""
