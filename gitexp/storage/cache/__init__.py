"""The run index: a disposable SQLite cache of the tip of the run branch.

`sql` holds the tables, `conditions` and `ordering` turn queries into SQL over them, `fill` reads
the branch into them and `update` follows it, `file` knows where the file is and whether it can be
trusted, `run_index` answers questions. Deleting the file at any time costs nothing but the time to
read the branch again.
"""
