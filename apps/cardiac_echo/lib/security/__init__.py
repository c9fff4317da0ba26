"""Access control and limits, applied before a request reaches an endpoint."""
