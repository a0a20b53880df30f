"""Stand-ins for the outside world: servers to poll, and clients that check every answer they get."""
