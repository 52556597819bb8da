# An AppendEntries that arrives late and a second time must not cut off what
# came after it: only a conflicting entry is deleted with what follows (§5.3).
cluster 3
quietly elect n1
settle

propose n1 x
    n1@1 writes w3 append [2@1]
    n1@1 proposal 1 appended at 2@1
    n1@1 -> n2 AppendEntries prev=1@1 [2@1] commit=1 r3
    n1@1 -> n3 AppendEntries prev=1@1 [2@1] commit=1 r4
copy n1 -> n2
settle
    n2@1 writes w3 append [2@1]
    n2@1 commits 0 => 1
    n2@1 -> n1 AppendEntriesReply matched=2 r3
    n2 applies 1@1 noop
    n3@1 writes w3 append [2@1]
    n3@1 commits 0 => 1
    n3@1 -> n1 AppendEntriesReply matched=2 r4
    n3 applies 1@1 noop
    n1@1 commits 1 => 2
    n1 applies 2@1 x
propose n1 y
    n1@1 writes w4 append [3@1]
    n1@1 proposal 2 appended at 3@1
    n1@1 -> n2 AppendEntries prev=2@1 [3@1] commit=2 r5
    n1@1 -> n3 AppendEntries prev=2@1 [3@1] commit=2 r6
settle
    n2@1 writes w4 append [3@1]
    n2@1 commits 1 => 2
    n2@1 -> n1 AppendEntriesReply matched=3 r5
    n2 applies 2@1 x
    n3@1 writes w4 append [3@1]
    n3@1 commits 1 => 2
    n3@1 -> n1 AppendEntriesReply matched=3 r6
    n3 applies 2@1 x
    n1@1 commits 2 => 3
    n1 applies 3@1 y
deadline n1
    n1@1 -> n2 AppendEntries prev=3@1 [] commit=3 r7
    n1@1 -> n3 AppendEntries prev=3@1 [] commit=3 r8
settle
    n2@1 -> n1 AppendEntriesReply matched=3 r7
    n2@1 commits 2 => 3
    n2 applies 3@1 y
    n3@1 -> n1 AppendEntriesReply matched=3 r8
    n3@1 commits 2 => 3
    n3 applies 3@1 y
show
    n1@1 leader, commit 3, applied 3, log 1 1 1
    n2@1 follower of n1, commit 3, applied 3, log 1 1 1
    n3@1 follower of n1, commit 3, applied 3, log 1 1 1

# The old message, prev 1@1 with the one entry 2@1, arrives again.
release
settle
    n2@1 -> n1 AppendEntriesReply matched=2 r3
show
    n1@1 leader, commit 3, applied 3, log 1 1 1
    n2@1 follower of n1, commit 3, applied 3, log 1 1 1
    n3@1 follower of n1, commit 3, applied 3, log 1 1 1
