"""From plan to events: the only room that talks to the kernel."""
