"""libbpf and the system calls beside it, behind types. Nothing above this folder sees ctypes."""
