"""Masks from images by one network: engines, batches and cleaning."""
