"""What a shell and ``man`` know of the commands; ``python -m ccstore.shell`` makes their files anew."""
