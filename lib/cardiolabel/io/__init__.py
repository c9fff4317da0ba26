"""Image and mask files: each format is read and written in one module."""
