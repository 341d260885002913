"""The distribution API of OCI registries: the only room that speaks HTTP to them."""
