"""BPF type information: bytes in, values out. No library reads BTF, so this room is ours."""
