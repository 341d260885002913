"""What a tool is: its model, and one codec for each form that it travels in."""
