"""Masks, volumes and EF compared with references, with other annotators and in degraded images."""
