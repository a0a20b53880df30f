"""Backups of a data folder: made beside a running server, verified, and restored."""
