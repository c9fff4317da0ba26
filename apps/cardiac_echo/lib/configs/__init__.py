"""What each model is served with."""
