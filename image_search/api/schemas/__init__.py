"""What requests and answers are made of: pydantic models, which check the one and describe both in /openapi.json."""
