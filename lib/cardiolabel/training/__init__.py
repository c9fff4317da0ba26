"""Training of networks from labelled studies, and retraining on corrections."""
