"""Records of a studies folder: images, label versions and leases in SQL; the masks stay plain files."""
