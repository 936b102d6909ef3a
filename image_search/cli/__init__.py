"""The command line: each command parses, makes one service call and renders."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it quietly, also while its parts are loaded."""
    try:
        from image_search.cli.group import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(1)


__all__ = ["main"]
