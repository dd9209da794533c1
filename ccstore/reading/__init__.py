"""What can be asked of the store, above its databases and below HTTP: no SQL in it, and no request."""
