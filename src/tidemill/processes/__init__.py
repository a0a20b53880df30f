"""Worker processes: one process calls functions in another, which it can end at any moment."""
