"""The audit log: who did what on a server and when, without names of patients."""
