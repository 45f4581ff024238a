"""The Cobaya sampler QNHMC."""
