"""Synthetic films that look like the real ones: fictional titles, people and studios, ratings that can be learned."""
