"""Command lines: ``python -m gsp_network.tools.NAME``."""
