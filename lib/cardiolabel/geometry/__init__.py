"""Shapes of masks: regions, outlines and landmarks as pixels."""
