"""The stack's processes without containers, and what is asked of them: `deploy/check`."""
