"""Numbers from masks. Nothing here knows a network, a file format or a server."""
