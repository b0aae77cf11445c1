"""The no-repeat n-gram guard."""
