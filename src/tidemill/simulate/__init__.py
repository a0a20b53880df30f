"""Simulators for tests and demos: servers to poll, and clients that check every answer."""

# Here, because options have them as defaults, and the simulators need what a client alone is installed without.
DATA_SERVER_PORT = 28462
METERS_PORT = 28463
