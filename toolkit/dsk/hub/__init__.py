"""Models from the hub: fetched once, checked to the byte, then used without a network."""
