"""Keeping messages: buffering and retention in front of a database."""
