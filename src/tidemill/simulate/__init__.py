"""Simulators for tests and demos: servers to poll, and clients that check every answer."""
