"""The one composition for whole folders: images to masks to measurements to tables."""
