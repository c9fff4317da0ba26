"""Settings that every test shares."""

from hypothesis import settings

# Repeatable, and without a time limit per example: machines that run several things at once are slow.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("repeatable")
