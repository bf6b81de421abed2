"""Usage limit policies: up to which saturation a band may go."""
