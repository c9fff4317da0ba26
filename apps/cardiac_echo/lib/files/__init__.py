"""Files that clients upload or download."""
