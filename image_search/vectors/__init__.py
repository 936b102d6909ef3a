"""Vector stores: one file for each database, all behind `interfaces.VectorStore`."""
