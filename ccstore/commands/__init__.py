"""What commands have in common, and those that are neither the client's nor the daemon's."""
