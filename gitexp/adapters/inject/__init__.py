"""Files that `git exp run` puts into the Python programs it starts. They import nothing of ours.

`path.sitecustomize` runs first, `parsers` reports parameters, `reads` opened files. They are loaded
by path in the user's own Python, 3.8 or newer.
"""
