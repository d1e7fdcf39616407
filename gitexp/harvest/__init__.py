"""What frameworks wrote during a run, read into the record of that run.

Floor 4. `changes` finds files that the run wrote, `kinds` recognises them, `tables`, `trackers` and
`benchmarks` read them, `gathering` merges what they say. A bad file never fails the run.
"""
