"""How the service is deployed, and the check that runs all of it without containers."""
