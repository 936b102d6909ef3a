"""Collections as files: out, in, and what of a file from elsewhere a collection can take."""
