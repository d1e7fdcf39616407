"""The cache: a disposable SQLite database of the runs at one commit of the run branch.

`cache` brings the file to a commit and opens a `view` of it; `cache_file` has the lock and the
connections; `runs` holds the questions. `fill` reads the branch into the tables that `sql` defines,
`rows` derives the rows of a run, `values` adds those of a key when it is first asked for.
`conditions` and `ordering` compile queries to SQL. The file can be deleted at any time: the next
command reads the branch again.
"""
