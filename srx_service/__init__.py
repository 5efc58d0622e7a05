"""srx, the streaming receiver: detector streams to HDF5 files and live processing."""
