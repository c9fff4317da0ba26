"""Comparisons, simulations, replays and benchmarks: long runs that answer a question."""
