"""Decoders of open feeds: names, tags and fields come with the data, whatever its format."""
