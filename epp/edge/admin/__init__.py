"""HTTP for operators: metrics, health, the last decisions, endpoints, configuration, self-check."""
