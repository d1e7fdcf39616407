"""The only access to git: plain values in, plain values out."""
