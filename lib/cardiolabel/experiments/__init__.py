"""Experiments: comparison of recipes, replay of annotation, simulation of strategies, benchmarks."""
