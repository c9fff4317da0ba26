"""Rounds of annotation and retraining replayed through a server."""
