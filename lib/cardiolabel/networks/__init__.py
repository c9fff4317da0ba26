"""Network architectures, and their weights with a model card."""
