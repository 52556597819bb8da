# n1 has been replaced before its snapshot arrives: its term is stale, and it is told so (Figure 13, rule 1).
cluster 3
settings snapshot_entries=4 log_tail_entries=0 log_tail_bytes_max=0
quietly elect n1
quietly run 200ms
quietly propose n1 a b c d e
drop n1 -> n3
quietly settle
# n3 lacks what n1 has purged, and n1 learns of it.
quietly deadline n1
quietly deliver n1 -> n3
quietly deliver n3 -> n1
quietly deliver n1 -> n3
quietly deliver n3 -> n1
delay n1 -> n3
partition n1 | n2 n3
hold-streams n2
quietly run 4000ms
show
    n1@1 candidate, commit 6, applied 6, snapshot through 6@1, log behind 6@1 empty
    n2@2 leader, commit 1, applied 1, log 1 1 1 1 1 1 2
    n3@2 follower of n2, commit 1, applied 1, log 1
heal
release
deliver n1 -> n3
    n3@2 -> n1 AppendEntriesReply stale r12
    n3@2 drops the snapshot through 6@1
settle
    n1@2 writes w5 term=2
    n1@2 candidate => follower (from term 1)
free-streams n2
    n2@2 -> n1 AppendEntries prev=6@1 [7@2] commit=1 r1
    n2@2 -> n3 AppendEntries prev=6@1 [7@2] commit=1 r2
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r6
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r10
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r14
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r18
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r22
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r26
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r30
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r34
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r38
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r42
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r46
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r50
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r54
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r58
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r62
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r66
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r70
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r74
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r78
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r82
    n2@2 -> n3 AppendEntries prev=1@1 [2@1 3@1 4@1 5@1 6@1 7@2] commit=1 r86
quietly run 500ms
show
    n1@2 follower of n2, commit 7, applied 7, snapshot through 6@1, log behind 6@1 2
    n2@2 leader, commit 7, applied 7, snapshot through 7@2, log behind 7@2 empty
    n3@2 follower of n2, commit 7, applied 7, snapshot through 7@2, log behind 7@2 empty
