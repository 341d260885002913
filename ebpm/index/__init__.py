"""Indexes: what tools there are, where they lie, and which one a short name means."""
