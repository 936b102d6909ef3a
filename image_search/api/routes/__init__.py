"""One module for each resource. A route parses, makes one service call, renders."""
