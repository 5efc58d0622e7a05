"""What `benchmarks.soak` is made of: series with faults, clients, and their books."""
