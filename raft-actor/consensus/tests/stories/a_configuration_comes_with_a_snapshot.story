# n3 is away while n4 joins and the log with that change is purged: the snapshot tells n3 (Figure 13, rule 8).
cluster 3
joining n4
settings snapshot_entries=4 log_tail_entries=0 log_tail_bytes_max=0
quietly elect n1
quietly run 200ms
partition n1 n2 n4 | n3
quietly change n1 n1,n2,n3,n4
quietly run 500ms
quietly propose n1 a b c d e
quietly run 100ms
configurations
    n1@1 counts the voters n1 n2 n3 n4
    n2@1 counts the voters n1 n2 n3 n4
    n3@1 counts the voters n1 n2 n3
    n4@1 counts the voters n1 n2 n3 n4
show
    n1@1 leader, commit 9, applied 9, snapshot through 9@1, log behind 9@1 empty
    n2@1 follower of n1, commit 9, applied 9, snapshot through 9@1, log behind 9@1 empty
    n3@1 follower of n1, commit 1, applied 1, log 1
    n4@1 follower of n1, commit 9, applied 9, snapshot through 9@1, log behind 9@1 empty
heal
run 100ms
    n1@1 -> n2 AppendEntries prev=9@1 [] commit=9 r38
    n1@1 -> n3 AppendEntries prev=0@0 [] commit=1 r39
    n1@1 -> n4 AppendEntries prev=9@1 [] commit=9 r40
    n2@1 -> n1 AppendEntriesReply matched=9 r38
    n3@1 -> n1 AppendEntriesReply matched=1 r39
    n4@1 -> n1 AppendEntriesReply matched=9 r40
    n1@1 -> n3 AppendEntries prev=9@1 [] commit=9 r41
    n3@1 -> n1 AppendEntriesReply conflict at=9 hint=1@1 r41
    n1@1 orders its snapshot through 9@1 for n3 r42
    n1@1 -> n3 InstallSnapshot through=9@1 (n1,n2,n3,n4 of 4@1) r42
    n3@1 installs the snapshot through 9@1 (n1,n2,n3,n4 of 4@1)
    n3 has stored the snapshot through 9@1
    n3 loads the snapshot through 9@1
    n3@1 writes w3 reset to 9@1
    n3@1 commits 1 => 9
    n3@1 -> n1 AppendEntriesReply matched=9 r42
configurations
    n1@1 counts the voters n1 n2 n3 n4
    n2@1 counts the voters n1 n2 n3 n4
    n3@1 counts the voters n1 n2 n3 n4
    n4@1 counts the voters n1 n2 n3 n4

# A configuration above the snapshot is rolled back to the one that only the snapshot knows, across a restart too.
partition n1 | n2 n3 n4
quietly change n1 n1,n2
configurations
    n1@1 counts the voters n1 n2 | n1 n2 n3 n4
    n2@1 counts the voters n1 n2 n3 n4
    n3@1 counts the voters n1 n2 n3 n4
    n4@1 counts the voters n1 n2 n3 n4
quietly run 5000ms
heal
quietly run 500ms
configurations
    n1@2 counts the voters n1 n2 n3 n4
    n2@2 counts the voters n1 n2 n3 n4
    n3@2 counts the voters n1 n2 n3 n4
    n4@2 counts the voters n1 n2 n3 n4
crash n1
restart n1
configurations
    n1@2 counts the voters n1 n2 n3 n4
    n2@2 counts the voters n1 n2 n3 n4
    n3@2 counts the voters n1 n2 n3 n4
    n4@2 counts the voters n1 n2 n3 n4
show
    n1@2 follower, commit 9, applied 9, snapshot through 9@1, log behind 9@1 2
    n2@2 follower of n3, commit 10, applied 10, snapshot through 9@1, log behind 9@1 2
    n3@2 leader, commit 10, applied 10, snapshot through 9@1, log behind 9@1 2
    n4@2 follower of n3, commit 10, applied 10, snapshot through 9@1, log behind 9@1 2
