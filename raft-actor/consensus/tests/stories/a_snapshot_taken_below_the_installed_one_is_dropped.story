# n3 takes a snapshot of its own, which takes long. Meanwhile it installs a newer one of the leader.
cluster 3
settings snapshot_entries=4 log_tail_entries=0 log_tail_bytes_max=0
quietly elect n1
quietly run 200ms
hold-snapshots n3
quietly propose n1 a b c
quietly run 200ms
show
    n1@1 leader, commit 4, applied 4, snapshot through 4@1, log behind 4@1 empty
    n2@1 follower of n1, commit 4, applied 4, snapshot through 4@1, log behind 4@1 empty
    n3@1 follower of n1, commit 4, applied 4, log 1 1 1 1
propose n1 d e f g h
    n1@1 writes w5 append [5@1..9@1]
    n1@1 proposal 2 appended at 5@1
    n1@1 -> n2 AppendEntries prev=4@1 [5@1..9@1] commit=4 r13
    n1@1 -> n3 AppendEntries prev=4@1 [5@1..9@1] commit=4 r14
drop n1 -> n3
quietly settle
# n3 lacks what n1 has purged, and n1 learns of it.
quietly deadline n1
quietly deliver n1 -> n3
quietly deliver n3 -> n1
quietly deliver n1 -> n3
quietly deliver n3 -> n1
deliver n1 -> n3
    n3@1 installs the snapshot through 9@1 (n1,n2,n3 of 0@0)
adopt n3
    n3 has stored the snapshot through 9@1
    n3 loads the snapshot through 9@1
    n3@1 writes w4 reset to 9@1
    n3@1 commits 4 => 9
    n3@1 -> n1 AppendEntriesReply matched=9 r18
settle
    n2@1 -> n1 AppendEntriesReply matched=9 r15
    n2@1 commits 4 => 9
    n2 applies 5@1 d, 6@1 e, 7@1 f, 8@1 g, 9@1 h
    n2@1 orders a snapshot
    n2 has stored its snapshot through 9@1
    n2@1 writes w6 purge through 9
store n3
    n3 has stored its snapshot through 4@1
show
    n1@1 leader, commit 9, applied 9, snapshot through 9@1, log behind 9@1 empty
    n2@1 follower of n1, commit 9, applied 9, snapshot through 9@1, log behind 9@1 empty
    n3@1 follower of n1, commit 9, applied 9, snapshot through 9@1, log behind 9@1 empty
