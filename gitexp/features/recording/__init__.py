"""A run on its way to the branch: start, seal, annotations, removal."""
