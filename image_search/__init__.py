"""Reverse image search: bytes -> decode -> embed -> upsert; a query is bytes -> decode -> embed -> search."""

__version__ = "0.1.0"
