"""Strategies that choose the next image to correct."""
