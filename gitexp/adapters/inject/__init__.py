"""Files that `git exp run` loads into the Python programs it starts. They import nothing of gitexp.

`path.sitecustomize` runs first; `parsers` reports parameters, `reads` opened files. They are loaded
by path in the user's Python, 3.8 or newer.
"""
