# n3 is behind what n1 purges, but nothing that is still to be sent to it is purged: no snapshot is needed.
cluster 3
settings snapshot_entries=4 log_tail_entries=0 log_tail_bytes_max=0
quietly elect n1
quietly run 200ms
quietly propose n1 a b c d e
delay n1 -> n3
settle
    n2@1 writes w3 append [2@1..6@1]
    n2@1 -> n1 AppendEntriesReply matched=6 r7
    n1@1 commits 1 => 6
    n1 applies 2@1 a, 3@1 b, 4@1 c, 5@1 d, 6@1 e
    n1@1 orders a snapshot
    n1 has stored its snapshot through 6@1
    n1@1 writes w4 purge through 6
release
settle
    n3@1 writes w3 append [2@1..6@1]
    n3@1 -> n1 AppendEntriesReply matched=6 r8
propose n1 f
    n1@1 writes w5 append [7@1]
    n1@1 proposal 2 appended at 7@1
    n1@1 -> n2 AppendEntries prev=6@1 [7@1] commit=6 r9
    n1@1 -> n3 AppendEntries prev=6@1 [7@1] commit=6 r10
settle
    n2@1 writes w4 append [7@1]
    n2@1 commits 1 => 6
    n2@1 -> n1 AppendEntriesReply matched=7 r9
    n2 applies 2@1 a, 3@1 b, 4@1 c, 5@1 d, 6@1 e
    n2@1 orders a snapshot
    n2 has stored its snapshot through 6@1
    n2@1 writes w5 purge through 6
    n3@1 writes w4 append [7@1]
    n3@1 commits 1 => 6
    n3@1 -> n1 AppendEntriesReply matched=7 r10
    n3 applies 2@1 a, 3@1 b, 4@1 c, 5@1 d, 6@1 e
    n3@1 orders a snapshot
    n3 has stored its snapshot through 6@1
    n3@1 writes w5 purge through 6
    n1@1 commits 6 => 7
    n1 applies 7@1 f
show
    n1@1 leader, commit 7, applied 7, snapshot through 6@1, log behind 6@1 1
    n2@1 follower of n1, commit 6, applied 6, snapshot through 6@1, log behind 6@1 1
    n3@1 follower of n1, commit 6, applied 6, snapshot through 6@1, log behind 6@1 1
