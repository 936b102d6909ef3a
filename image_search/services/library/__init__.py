"""Single pictures and the library as a whole: looked at, changed, deleted, restored."""
