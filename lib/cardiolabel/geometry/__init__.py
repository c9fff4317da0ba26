"""Geometry of masks in pixels: regions, outlines and landmarks."""
