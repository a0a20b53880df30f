"""Whole copies of a data folder: made beside a running server, checked, and put back."""
