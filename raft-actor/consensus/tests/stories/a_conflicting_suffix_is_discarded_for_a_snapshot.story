# n3 has entries of a leader that was overruled. The snapshot ends in the midst of them, where n3 has an entry of
# another term: all of its log goes, also what lies behind the snapshot (Figure 13, rule 7).
cluster 3
settings snapshot_entries=4 log_tail_entries=0 log_tail_bytes_max=0
log n1 1 2
log n2 1 2
log n3 1 1 1 1 1 1 1 1 1
partition n1 n2 | n3
quietly elect n1
quietly run 900ms
quietly propose n1 x
quietly run 300ms
quietly propose n1 a b
quietly settle
show
    n1@3 leader, commit 6, applied 6, snapshot through 4@3, log behind 4@3 3 3
    n2@3 follower of n1, commit 4, applied 4, snapshot through 4@3, log behind 4@3 3 3
    n3@1 candidate, commit 0, applied 0, log 1 1 1 1 1 1 1 1 1
heal
deadline n1
    n1@3 -> n2 AppendEntries prev=6@3 [] commit=6 r30
    n1@3 -> n3 AppendEntries prev=0@0 [] commit=0 r31
settle
    n2@3 -> n1 AppendEntriesReply matched=6 r30
    n2@3 commits 4 => 6
    n2 applies 5@3 a, 6@3 b
    n3@3 writes w1 term=3
    n3@3 candidate => follower of n1 (from term 1)
    n3@3 -> n1 AppendEntriesReply matched=0 r31
    n1@3 orders its snapshot through 4@3 for n3 r32
    n1@3 -> n3 InstallSnapshot through=4@3 (n1,n2,n3 of 0@0) r32
    n3@3 installs the snapshot through 4@3 (n1,n2,n3 of 0@0)
    n3 has stored the snapshot through 4@3
    n3 loads the snapshot through 4@3
    n3@3 writes w2 reset to 4@3
    n3@3 commits 0 => 4
    n3@3 -> n1 AppendEntriesReply matched=4 r32
    n1@3 -> n3 AppendEntries prev=4@3 [5@3 6@3] commit=6 r33
    n3@3 writes w3 append [5@3 6@3]
    n3@3 commits 4 => 6
    n3@3 -> n1 AppendEntriesReply matched=6 r33
    n3 applies 5@3 a, 6@3 b
deadline n1
    n1@3 -> n2 AppendEntries prev=6@3 [] commit=6 r34
    n1@3 -> n3 AppendEntries prev=6@3 [] commit=6 r35
settle
    n2@3 -> n1 AppendEntriesReply matched=6 r34
    n3@3 -> n1 AppendEntriesReply matched=6 r35
show
    n1@3 leader, commit 6, applied 6, snapshot through 4@3, log behind 4@3 3 3
    n2@3 follower of n1, commit 6, applied 6, snapshot through 4@3, log behind 4@3 3 3
    n3@3 follower of n1, commit 6, applied 6, snapshot through 4@3, log behind 4@3 3 3
