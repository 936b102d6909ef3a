"""Trains the embedding network that the product ships. Needs the extra `training`; the product never imports it."""
