# The entries arrive before the snapshot that was sent for their sake: there is nothing to install, and
# the log stays (Figure 13, rule 6).
cluster 3
settings snapshot_entries=4 log_tail_entries=0 log_tail_bytes_max=0
quietly elect n1
quietly run 200ms
quietly propose n1 a b c d e
delay n1 -> n3
quietly settle
# n3 lacks what n1 has purged, and n1 learns of it.
quietly deadline n1
quietly deliver n1 -> n3
quietly deliver n3 -> n1
quietly deliver n1 -> n3
deliver n3 -> n1
    n1@1 orders its snapshot through 6@1 for n3 r12
    n1@1 -> n3 InstallSnapshot through=6@1 (n1,n2,n3 of 0@0) r12
delay n1 -> n3
release
settle
    n2@1 -> n1 AppendEntriesReply matched=6 r9
    n2@1 commits 1 => 6
    n2 applies 2@1 a, 3@1 b, 4@1 c, 5@1 d, 6@1 e
    n2@1 orders a snapshot
    n2 has stored its snapshot through 6@1
    n2@1 writes w4 purge through 6
    n3@1 writes w3 append [2@1..6@1]
    n3@1 -> n1 AppendEntriesReply matched=6 r8
    n3@1 -> n1 AppendEntriesReply matched=6 r12
    n3@1 drops the snapshot through 6@1
    n3@1 commits 1 => 6
    n3 applies 2@1 a, 3@1 b, 4@1 c, 5@1 d, 6@1 e
    n3@1 orders a snapshot
    n3 has stored its snapshot through 6@1
    n3@1 writes w4 purge through 6
show
    n1@1 leader, commit 6, applied 6, snapshot through 6@1, log behind 6@1 empty
    n2@1 follower of n1, commit 6, applied 6, snapshot through 6@1, log behind 6@1 empty
    n3@1 follower of n1, commit 6, applied 6, snapshot through 6@1, log behind 6@1 empty
