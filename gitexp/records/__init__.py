"""What lies on the run branch, as values and bytes: reading, writing, bounding and merging it.

Floor 1.
"""
