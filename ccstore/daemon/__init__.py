"""What makes a process a daemon: its service, its log, and reading the configuration again."""
