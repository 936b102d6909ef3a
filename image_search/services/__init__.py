"""What the product does, one module for each capability; knows Protocols, never an adapter."""
