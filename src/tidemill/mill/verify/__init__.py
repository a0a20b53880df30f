"""Proves of a store that every payload, record and point is accounted for, or lists what does not add up."""
