"""The process and its machine: memory, caches, text encodings and the start of the server."""
