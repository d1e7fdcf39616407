"""The only door to git: plain values in, plain values out."""
