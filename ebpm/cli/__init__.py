"""The command line: parse, call the library, show the result. Only here is printed and exited."""
