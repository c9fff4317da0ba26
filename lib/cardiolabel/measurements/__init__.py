"""Measurements from masks, without networks, file formats or servers."""
