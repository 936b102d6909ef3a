"""How good a model, a projection, an index or an int8 network is on one's own pictures."""
