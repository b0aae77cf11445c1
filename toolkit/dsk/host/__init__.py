"""Facts about a machine, gathered by probes; free of names, keys and serial numbers."""
