"""Pictures of a folder into a collection: at once, or in steps with files between them."""
