"""The log posterior of field, weights and parameters as a function, with its gradient."""
