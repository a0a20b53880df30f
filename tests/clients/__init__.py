"""Clients that others wrote, from the package index, against a server."""
