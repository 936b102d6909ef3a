"""The Tiny Images tools: an archive of 32 x 32 pictures in one binary file, and nearest neighbours on raw pixels."""
