"""The cache: a disposable SQLite database of the runs at the tip of the run branch.

`sql` defines the tables, `conditions` and `ordering` compile queries to SQL, `fill` reads the whole
branch into the tables, `update` applies later commits, `file` checks that the file is unchanged
since the last write of gitexp, and `run_index` answers queries. The file can be deleted at any
time: the next command reads the branch again.
"""
