# Nothing was applied since the snapshot, and the log before it is gone: only the state machine knows what it covered.
cluster 3
settings snapshot_entries=4 log_tail_entries=0 log_tail_bytes_max=0
quietly elect n1
quietly run 200ms
# Without a snapshot there is nothing to replace.
snapshot-lost n1
quietly propose n1 a b c
quietly run 200ms
show
    n1@1 leader, commit 4, applied 4, snapshot through 4@1, log behind 4@1 empty
    n2@1 follower of n1, commit 4, applied 4, snapshot through 4@1, log behind 4@1 empty
    n3@1 follower of n1, commit 4, applied 4, snapshot through 4@1, log behind 4@1 empty
take-snapshot n1
hold-snapshots n1
snapshot-lost n1
    n1@1 orders a snapshot
# One that is being taken will do.
snapshot-lost n1
store n1
    n1 has stored its snapshot through 4@1
snapshot-lost n1
    n1@1 orders a snapshot
fail-snapshot n1
    n1 cannot store its snapshot
snapshot-lost n1
    n1@1 orders a snapshot
store n1
    n1 has stored its snapshot through 4@1
settle
show
    n1@1 leader, commit 4, applied 4, snapshot through 4@1, log behind 4@1 empty
    n2@1 follower of n1, commit 4, applied 4, snapshot through 4@1, log behind 4@1 empty
    n3@1 follower of n1, commit 4, applied 4, snapshot through 4@1, log behind 4@1 empty
