"""Replay of annotation and retraining rounds through a server."""
