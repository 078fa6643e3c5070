"""What the examples share: starting and saving, cameras, and controls for the mouse."""
