"""The embedded store: chDB behind ClickHouse's own HTTP interface, as a process of its own.

Run it as `python -m tidemill.store.engine`. Nothing else in the package imports it: clients speak HTTP.
"""
