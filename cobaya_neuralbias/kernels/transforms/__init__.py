"""Fourier transforms of the forward model, plane by plane."""
