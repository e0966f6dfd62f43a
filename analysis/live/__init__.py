"""One live run, looked into."""
