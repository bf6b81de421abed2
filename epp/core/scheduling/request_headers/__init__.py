"""Request header processors: complete a request from its headers. One file each."""
