"""The demonstration: a training script on real data, a story about it, a stage to play it on.

Floor 6. `train.py` is what the user of the story works on; it is copied, never imported.
"""
