"""The `tidemill` command: one file a group of commands, and what they share."""

from tidemill.cli.app import app, main

__all__ = ["app", "main"]
