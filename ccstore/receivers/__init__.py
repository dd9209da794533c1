"""Receivers: where line protocol comes in."""
