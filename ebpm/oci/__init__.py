"""OCI as data: digests, references, descriptors, manifests, and the one loop that copies them."""
