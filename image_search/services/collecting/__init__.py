"""Pictures from the web into a folder that can be ingested: lists of addresses, and public sets in archives."""
