# n3 installs the snapshot, and n1 never hears of it. The next heartbeat tells: n3 answers it with what it has committed.
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
deliver n3 -> n1
    n1@1 orders its snapshot through 6@1 for n3 r12
    n1@1 -> n3 InstallSnapshot through=6@1 (n1,n2,n3 of 0@0) r12
deliver n1 -> n3
    n3@1 installs the snapshot through 6@1 (n1,n2,n3 of 0@0)
    n3 has stored the snapshot through 6@1
    n3 loads the snapshot through 6@1
    n3@1 writes w3 reset to 6@1
    n3@1 commits 1 => 6
    n3@1 -> n1 AppendEntriesReply matched=6 r12
drop n3 -> n1
deadline n1
    n1@1 -> n2 AppendEntries prev=6@1 [] commit=6 r13
    n1@1 -> n3 AppendEntries prev=0@0 [] commit=1 r14
settle
    n2@1 -> n1 AppendEntriesReply matched=6 r9
    n2@1 commits 1 => 6
    n2 applies 2@1 a, 3@1 b, 4@1 c, 5@1 d, 6@1 e
    n2@1 orders a snapshot
    n2 has stored its snapshot through 6@1
    n2@1 writes w4 purge through 6
    n2@1 -> n1 AppendEntriesReply matched=6 r13
    n3@1 -> n1 AppendEntriesReply matched=6 r14
propose n1 f
    n1@1 writes w5 append [7@1]
    n1@1 proposal 2 appended at 7@1
    n1@1 -> n2 AppendEntries prev=6@1 [7@1] commit=6 r15
    n1@1 -> n3 AppendEntries prev=6@1 [7@1] commit=6 r16
settle
    n2@1 writes w5 append [7@1]
    n2@1 -> n1 AppendEntriesReply matched=7 r15
    n3@1 writes w4 append [7@1]
    n3@1 -> n1 AppendEntriesReply matched=7 r16
    n1@1 commits 6 => 7
    n1 applies 7@1 f
show
    n1@1 leader, commit 7, applied 7, snapshot through 6@1, log behind 6@1 1
    n2@1 follower of n1, commit 6, applied 6, snapshot through 6@1, log behind 6@1 1
    n3@1 follower of n1, commit 6, applied 6, snapshot through 6@1, log behind 6@1 1
