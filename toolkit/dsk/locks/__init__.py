"""Lock files: resolve pins to hashed wheels, check and verify them, list them as an SBOM."""
