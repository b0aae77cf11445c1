"""Models from the hub: fetched, checked to the byte, then used without a network."""
