"""What a package needs of a kernel, and what a machine has, told without loading anything."""
