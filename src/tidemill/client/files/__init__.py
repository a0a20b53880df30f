"""Files as chunks of records, for `tidemill import`: what a file is, where it is cut, and what was sent of it before.

Needs the base packages alone; Parquet and Arrow files need Polars, zstd needs zstandard.
"""
