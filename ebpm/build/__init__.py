"""From C source to package. The only user of a compiler."""
