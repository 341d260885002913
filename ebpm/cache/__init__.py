"""The store: an OCI image layout on disk; and beside it, files that can be made again."""
