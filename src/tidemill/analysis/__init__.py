"""Statistics of a series: arrays in, structs out. Independent of store, HTTP and feeds."""
