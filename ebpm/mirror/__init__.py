"""Content for places without a network: bundles, jobs that keep a copy, a registry over a store."""
