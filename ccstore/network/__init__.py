"""Ports, whoever connects to them, and TLS."""
