"""Results on disk: ledger, manifest, folders, summary."""
