# n3 dies after the snapshot was stored under its final name, and before its log was reset durably: first before the
# state machine has loaded it, then with the reset written and not durable. Both times the log is reset before it starts.
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
hold-machine n3
deliver n1 -> n3
    n3@1 installs the snapshot through 6@1 (n1,n2,n3 of 0@0)
    n3 has stored the snapshot through 6@1
crash n3
free-machine n3
restart n3
    n3 resets its log to 6@1 before it starts
show
    n1@1 leader, commit 6, applied 6, snapshot through 6@1, log behind 6@1 empty
    n2@1 follower of n1, commit 1, applied 1, log 1 1 1 1 1 1
    n3@1 follower, commit 6, applied 6, snapshot through 6@1, log behind 6@1 empty
quietly run 300ms
show
    n1@1 leader, commit 6, applied 6, snapshot through 6@1, log behind 6@1 empty
    n2@1 follower of n1, commit 6, applied 6, snapshot through 6@1, log behind 6@1 empty
    n3@1 follower of n1, commit 6, applied 6, snapshot through 6@1, log behind 6@1 empty

partition n1 n2 | n3
quietly propose n1 f g h i j
quietly settle
heal
hold-disk n3
run 120ms
    n1@1 -> n2 AppendEntries prev=11@1 [] commit=11 r21
    n1@1 -> n3 AppendEntries prev=0@0 [] commit=6 r22
    n2@1 -> n1 AppendEntriesReply matched=11 r21
    n2@1 commits 6 => 11
    n2 applies 7@1 f, 8@1 g, 9@1 h, 10@1 i, 11@1 j
    n2@1 orders a snapshot
    n2 has stored its snapshot through 11@1
    n2@1 writes w6 purge through 11
    n3@1 -> n1 AppendEntriesReply matched=6 r22
    n1@1 -> n3 AppendEntries prev=11@1 [] commit=11 r23
    n3@1 -> n1 AppendEntriesReply conflict at=11 hint=6@1 r23
    n1@1 orders its snapshot through 11@1 for n3 r24
    n1@1 -> n3 InstallSnapshot through=11@1 (n1,n2,n3 of 0@0) r24
    n3@1 installs the snapshot through 11@1 (n1,n2,n3 of 0@0)
    n3 has stored the snapshot through 11@1
    n3 loads the snapshot through 11@1
    n3@1 writes w1 reset to 11@1
    n3@1 commits 6 => 11
crash n3
free-disk n3
restart n3
    n3 resets its log to 11@1 before it starts
quietly run 300ms
show
    n1@1 leader, commit 11, applied 11, snapshot through 11@1, log behind 11@1 empty
    n2@1 follower of n1, commit 11, applied 11, snapshot through 11@1, log behind 11@1 empty
    n3@1 follower of n1, commit 11, applied 11, snapshot through 11@1, log behind 11@1 empty
