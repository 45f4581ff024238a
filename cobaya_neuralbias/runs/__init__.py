"""What a run leaves on disk: written by the sampler, read by every tool."""
