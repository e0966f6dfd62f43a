"""Theory and evidence: what the notebooks call. Imports cudfkd; trains nothing itself except toy problems."""
