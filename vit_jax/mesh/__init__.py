"""The device mesh, logical axes, several hosts, and what a chip can do."""
