"""What `srx verify` looks at: objects and links, rows, counts, chunks."""
