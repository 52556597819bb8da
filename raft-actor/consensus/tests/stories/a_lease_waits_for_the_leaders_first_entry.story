# What former leaders have committed, a leader knows once its own first entry is committed (§8): before that, no lease.
cluster 3
lease 10%
log n1 1 1
log n2 1 1
quietly deadline n1
quietly deliver
quietly deliver
quietly deliver
deliver n2 -> n1
    n1@2 writes w2 append [3@2]
    n1@2 candidate => leader, noop at 3
    n1@2 -> n2 AppendEntries prev=2@1 [3@2] commit=0 r1
    n1@2 -> n3 AppendEntries prev=2@1 [3@2] commit=0 r2
read-by-lease n1
    n1@2 -> n2 AppendEntries prev=0@0 [] commit=0 r3
    n1@2 -> n3 AppendEntries prev=0@0 [] commit=0 r4
settle
    n2@2 writes w2 append [3@2]
    n2@2 follower => follower of n1
    n2@2 -> n1 AppendEntriesReply matched=3 r1
    n3@2 -> n1 AppendEntriesReply conflict at=2 hint=0@0 r2
    n3@2 follower => follower of n1
    n2@2 -> n1 AppendEntriesReply matched=3 r3
    n3@2 -> n1 AppendEntriesReply matched=0 r4
    n1@2 commits 0 => 3
    n1 applies 1@1 1@1, 2@1 2@1, 3@2 noop
    n1@2 -> n3 AppendEntries prev=0@0 [1@1 2@1 3@2] commit=3 r5
    n1@2 read 1 may be served at 3
    n3@2 writes w2 append [1@1 2@1 3@2]
    n3@2 commits 0 => 3
    n3@2 -> n1 AppendEntriesReply matched=3 r5
    n3 applies 1@1 1@1, 2@1 2@1, 3@2 noop
read-by-lease n1
    n1@2 read 2 may be served at 3
