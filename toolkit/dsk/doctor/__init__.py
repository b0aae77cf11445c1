"""What is wrong with this machine: probes gather facts, checks judge them, the report tells."""
