"""The models that are served: loading them, their versions, and averages of their weights."""
