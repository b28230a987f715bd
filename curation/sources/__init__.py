"""Sources of images, one class a file, behind one contract."""
