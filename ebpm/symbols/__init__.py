"""Addresses to names: of the kernel, of processes, of what their JIT compilers wrote."""
