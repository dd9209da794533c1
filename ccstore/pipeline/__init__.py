"""From bytes to the store: decoding, whose turn it is, and the router."""
