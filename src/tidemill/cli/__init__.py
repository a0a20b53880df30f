"""The `tidemill` command: a file for each group of commands, and the functions that they share."""

from tidemill.cli.app import app, main

__all__ = ["app", "main"]
