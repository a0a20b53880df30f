"""Questions about what is stored: parameters in, SQL by name, bytes or structs out. Sync; knows no HTTP framework.

Every query binds the tenant. What is not this tenant's looks like what never was.
"""
