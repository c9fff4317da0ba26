"""Reading and writing of image and mask files, one format per module."""
