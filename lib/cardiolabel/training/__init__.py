"""Networks trained from labelled studies, and retrained on corrections."""
