"""Benchmark of reading, inference, measuring and serving."""
