"""Replays: payloads go through the rules again, the difference is found, and, unless it was a dry run, published."""
