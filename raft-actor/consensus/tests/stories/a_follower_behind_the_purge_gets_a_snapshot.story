# n3 is away while the log is purged behind a snapshot: what it needs is there no more,
# so it is sent the snapshot, and then the log from there on (§7, Figure 13).
cluster 3
settings snapshot_entries=4 log_tail_entries=1
quietly elect n1
quietly run 200ms
partition n1 n2 | n3
quietly run 900ms
quietly propose n1 x
quietly run 300ms
propose n1 a b c d e
    n1@1 writes w4 append [3@1..7@1]
    n1@1 proposal 2 appended at 3@1
    n1@1 -> n2 AppendEntries prev=2@1 [3@1..7@1] commit=2 r33
    n1@1 -x n3 AppendEntries prev=2@1 [3@1..7@1] commit=2 r34
settle
    n2@1 writes w4 append [3@1..7@1]
    n2@1 -> n1 AppendEntriesReply matched=7 r33
    n1@1 commits 2 => 7
    n1 applies 3@1 a, 4@1 b, 5@1 c, 6@1 d, 7@1 e
    n1@1 orders a snapshot
    n1 has stored its snapshot through 7@1
    n1@1 writes w5 purge through 6
show
    n1@1 leader, commit 7, applied 7, snapshot through 7@1, log behind 6@1 1
    n2@1 follower of n1, commit 2, applied 2, log 1 1 1 1 1 1 1
    n3@1 follower of n1, commit 1, applied 1, log 1
heal
deadline n1
    n1@1 -> n2 AppendEntries prev=7@1 [] commit=7 r35
    n1@1 -> n3 AppendEntries prev=0@0 [] commit=1 r36
settle
    n2@1 -> n1 AppendEntriesReply matched=7 r35
    n2@1 commits 2 => 7
    n2 applies 3@1 a, 4@1 b, 5@1 c, 6@1 d, 7@1 e
    n2@1 orders a snapshot
    n2 has stored its snapshot through 7@1
    n2@1 writes w5 purge through 6
    n3@1 -> n1 AppendEntriesReply matched=1 r36
    n1@1 -> n3 AppendEntries prev=7@1 [] commit=7 r37
    n3@1 -> n1 AppendEntriesReply conflict at=7 hint=1@1 r37
    n1@1 orders its snapshot through 7@1 for n3 r38
    n1@1 -> n3 InstallSnapshot through=7@1 (n1,n2,n3 of 0@0) r38
    n3@1 installs the snapshot through 7@1 (n1,n2,n3 of 0@0)
    n3 has stored the snapshot through 7@1
    n3 loads the snapshot through 7@1
    n3@1 writes w3 reset to 7@1
    n3@1 commits 1 => 7
    n3@1 -> n1 AppendEntriesReply matched=7 r38
propose n1 f
    n1@1 writes w6 append [8@1]
    n1@1 proposal 3 appended at 8@1
    n1@1 -> n2 AppendEntries prev=7@1 [8@1] commit=7 r39
    n1@1 -> n3 AppendEntries prev=7@1 [8@1] commit=7 r40
settle
    n2@1 writes w6 append [8@1]
    n2@1 -> n1 AppendEntriesReply matched=8 r39
    n3@1 writes w4 append [8@1]
    n3@1 -> n1 AppendEntriesReply matched=8 r40
    n1@1 commits 7 => 8
    n1 applies 8@1 f
show
    n1@1 leader, commit 8, applied 8, snapshot through 7@1, log behind 6@1 1 1
    n2@1 follower of n1, commit 7, applied 7, snapshot through 7@1, log behind 6@1 1 1
    n3@1 follower of n1, commit 7, applied 7, snapshot through 7@1, log behind 7@1 1
