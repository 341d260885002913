"""For tests of tools and of programs that use ebpm: a registry that can be told to misbehave."""
