"""The audit log: what was done on a server, by whom and when, without names of patients."""
