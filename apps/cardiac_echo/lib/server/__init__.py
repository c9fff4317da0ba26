"""The running server: its engine, errors, logs and child processes."""
