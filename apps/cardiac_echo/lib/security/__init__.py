"""Who may ask for what, and how much: refused before it reaches an endpoint."""
