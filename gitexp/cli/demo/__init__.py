"""The demonstration: a training script on real data, and a story about it."""
