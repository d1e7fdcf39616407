"""The demonstration: a training script on real data, and scenes that use it."""
