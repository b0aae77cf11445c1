"""Static checks of a stack's wheels: each module is one check, a function over opened wheels."""
