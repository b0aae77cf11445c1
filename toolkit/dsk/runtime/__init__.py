"""Where the runner runs: a stack's hash-locked environment, or this interpreter."""
