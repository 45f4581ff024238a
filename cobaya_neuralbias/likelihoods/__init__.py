"""Cobaya likelihoods of a halo catalogue, given the matter density."""
