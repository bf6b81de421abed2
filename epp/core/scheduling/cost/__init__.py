"""What expected-cost-scorer knows: its books of requests in flight, and the coefficients that it learns."""
