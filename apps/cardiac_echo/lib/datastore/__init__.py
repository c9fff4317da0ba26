"""MONAI Label's datastore over the store, with leases and notes."""
