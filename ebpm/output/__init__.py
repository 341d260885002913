"""Batches to people and programs: tables, JSON lines."""
