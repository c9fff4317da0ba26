"""Results as tables, JSON, figures and pages."""
