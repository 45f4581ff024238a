"""What a run found, for other programs: white noise for N-body codes, maps of the posterior."""
