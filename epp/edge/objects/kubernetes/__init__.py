"""Objects from a Kubernetes API server: transport and credentials of the official client, a reflector of our own."""
