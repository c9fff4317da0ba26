"""Configuration of the served models."""
