"""What a studies folder says of its images: manifest, names, ids and patients."""
