"""Looking after what gitexp keeps: checking, mending, tidying, removing, beginning.

Floor 4. `inspection` runs the checks over what `evidence` gathered and `mending` acts on their
findings; `tidying` clears local state, `removal` takes runs off the branch, `founding` gets a
repository ready, `journals` tells which runs are not on the branch yet.
"""
