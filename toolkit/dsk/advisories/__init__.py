"""Known vulnerabilities of locked packages, and what each means for this project's use of them."""
