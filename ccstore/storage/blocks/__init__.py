"""Packed messages: thousands in a block, its columns apart and compressed. No Twisted in it, and no SQL."""
