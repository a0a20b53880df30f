"""Arrays in, structs out: what can be said about a series. Knows no store, no HTTP and no feed."""
