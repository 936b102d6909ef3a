"""The command line: each command parses, makes one service call and renders."""

from image_search.cli.group import main

__all__ = ["main"]
