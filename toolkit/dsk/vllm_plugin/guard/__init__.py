"""No-repeat n-gram guard."""
