"""The device mesh, sharding, several hosts, and what each chip can do."""
