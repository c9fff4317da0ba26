"""Records of a studies folder in SQL: images, label versions and leases; the masks stay plain files."""
