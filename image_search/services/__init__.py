"""What the product does, a package for each capability; knows Protocols, never an adapter.

What lies here itself is what several of them share, and two services that are one module each: `indexing` and
`migrating`.
"""
