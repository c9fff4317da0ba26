"""What reading, inference, measuring and serving cost."""
