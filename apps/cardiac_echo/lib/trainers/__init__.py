"""Training of the models that are served."""
