"""What each model is served with; one module per model."""
