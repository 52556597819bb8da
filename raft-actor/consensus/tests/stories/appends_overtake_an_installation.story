# While n3 stores the snapshot and its state machine loads it, the old log counts and the entries arrive after all.
# Then the log says the same as the snapshot, and is kept; nothing is applied meanwhile, and nothing twice.
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
quietly deliver n3 -> n1
hold-snapshots n3
deliver n1 -> n3
    n3@1 installs the snapshot through 6@1 (n1,n2,n3 of 0@0)
release
propose n1 f
    n1@1 writes w5 append [7@1]
    n1@1 proposal 2 appended at 7@1
    n1@1 -> n2 AppendEntries prev=6@1 [7@1] commit=6 r13
settle
    n2@1 -> n1 AppendEntriesReply matched=6 r9
    n2@1 commits 1 => 6
    n2 applies 2@1 a, 3@1 b, 4@1 c, 5@1 d, 6@1 e
    n2@1 orders a snapshot
    n2 has stored its snapshot through 6@1
    n2@1 writes w4 purge through 6
    n3@1 writes w3 append [2@1..6@1]
    n3@1 -> n1 AppendEntriesReply matched=6 r8
    n2@1 writes w5 append [7@1]
    n2@1 -> n1 AppendEntriesReply matched=7 r13
    n1@1 -> n3 AppendEntries prev=6@1 [7@1] commit=6 r14
    n1@1 commits 6 => 7
    n1 applies 7@1 f
    n3@1 writes w4 append [7@1]
    n3@1 commits 1 => 6
    n3@1 -> n1 AppendEntriesReply matched=7 r14
deadline n1
    n1@1 -> n2 AppendEntries prev=7@1 [] commit=7 r15
    n1@1 -> n3 AppendEntries prev=7@1 [] commit=7 r16
settle
    n2@1 -> n1 AppendEntriesReply matched=7 r15
    n2@1 commits 6 => 7
    n2 applies 7@1 f
    n3@1 -> n1 AppendEntriesReply matched=7 r16
    n3@1 commits 6 => 7
show
    n1@1 leader, commit 7, applied 7, snapshot through 6@1, log behind 6@1 1
    n2@1 follower of n1, commit 7, applied 7, snapshot through 6@1, log behind 6@1 1
    n3@1 follower of n1, commit 7, applied 1, log 1 1 1 1 1 1 1
free-snapshots n3
    n3 has stored the snapshot through 6@1
    n3 loads the snapshot through 6@1
    n3@1 -> n1 AppendEntriesReply matched=6 r12
    n3@1 writes w5 purge through 6
    n3 applies 7@1 f
settle
show
    n1@1 leader, commit 7, applied 7, snapshot through 6@1, log behind 6@1 1
    n2@1 follower of n1, commit 7, applied 7, snapshot through 6@1, log behind 6@1 1
    n3@1 follower of n1, commit 7, applied 7, snapshot through 6@1, log behind 6@1 1
