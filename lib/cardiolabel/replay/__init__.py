"""Annotation of a dataset that has labels, played again through a server, to see what retraining gains."""
