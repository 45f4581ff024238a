"""Loops of the bias models and their likelihoods."""
