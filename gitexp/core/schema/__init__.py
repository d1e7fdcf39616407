"""Content of the run branch: layout, encoding, decoding, limits, union."""
