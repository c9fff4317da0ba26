"""Records of a studies folder's images: manifest, names, ids and patients."""
