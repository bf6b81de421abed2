"""Response header processors: put a header on the response. One file each."""
