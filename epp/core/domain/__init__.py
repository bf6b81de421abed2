"""The vocabulary: what a request, an endpoint, a pool and a decision are, the errors, and the ports between edges."""
