"""A decoder, a rule and a source for Tidemill: one file each, found by the entry points in `pyproject.toml`."""
