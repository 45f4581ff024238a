"""Samplers of a target ``value_and_gradient(z)``. Knows neither cosmology nor cobaya."""
