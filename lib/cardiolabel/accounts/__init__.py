"""Accounts of a server's users, for labs without a login server of their own."""
