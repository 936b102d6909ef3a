"""Readers of what people say about their pictures: titles, tags, texts."""
