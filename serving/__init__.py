"""The server: films in, predictions with their reasons out, for people (pages) and programs (API)."""
