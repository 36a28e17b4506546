"""Our maps beside those of the libraries people use today, by their released packages: ``make test-peers``."""
