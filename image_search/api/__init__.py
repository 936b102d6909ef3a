"""The HTTP interface: Flask routes over the services."""
