"""Pages to text: tiles, engine, ledger, outputs."""
