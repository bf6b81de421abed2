"""Request and snapshot in, endpoint out, with the reasons."""
