"""Files for batches and transport: HDF5 shards of pictures and of vectors."""
