"""Facts about a machine: probes gather them, without names, keys or serial numbers."""
