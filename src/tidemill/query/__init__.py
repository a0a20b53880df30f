"""Queries over the store and the log: parameters in, bytes or structs out. Sync; independent of the HTTP framework.

Every query binds the tenant. Data of another tenant is answered as if it did not exist.
"""
