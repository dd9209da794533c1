"""Counting what comes in and what becomes of it, and what is shown of that."""
