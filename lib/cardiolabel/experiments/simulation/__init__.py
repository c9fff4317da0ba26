"""Simulation of active-learning strategies on a labelled data set."""
