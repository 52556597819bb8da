# A leader that is removed commits its own removal without counting itself, and steps down only then
# (§6, dissertation 4.2.2).
cluster 3
quietly elect n1
quietly settle
change n1 n2,n3
    n1@1 writes w3 append [2@1]
    n1@1 change 1 appended at 2@1
    n1@1 -> n2 AppendEntries prev=1@1 [2@1] commit=1 r3
    n1@1 -> n3 AppendEntries prev=1@1 [2@1] commit=1 r4

# Joint: the old majority may count n1, the new one may not.
deliver n1 -> n2
    n2@1 writes w3 append [2@1]
    n2@1 commits 0 => 1
    n2@1 -> n1 AppendEntriesReply matched=2 r3
    n2 applies 1@1 noop
deliver n2 -> n1
configurations
    n1@1 counts the voters n2 n3 | n1 n2 n3
    n2@1 counts the voters n2 n3 | n1 n2 n3
    n3@1 counts the voters n1 n2 n3
deliver n1 -> n3
    n3@1 writes w3 append [2@1]
    n3@1 commits 0 => 1
    n3@1 -> n1 AppendEntriesReply matched=2 r4
    n3 applies 1@1 noop
deliver n3 -> n1
    n1@1 writes w4 append [3@1]
    n1@1 commits 1 => 2
    n1@1 -> n2 AppendEntries prev=2@1 [3@1] commit=2 r5
    n1@1 -> n3 AppendEntries prev=2@1 [3@1] commit=2 r6
    n1 applies 2@1 voters n2,n3|n1,n2,n3

# The last configuration is n1's own to append, and to commit: it takes n2 and n3, n1 does not count.
configurations
    n1@1 counts the voters n2 n3
    n2@1 counts the voters n2 n3 | n1 n2 n3
    n3@1 counts the voters n2 n3 | n1 n2 n3
drop n1 -> n3
deliver n1 -> n2
    n2@1 writes w4 append [3@1]
    n2@1 commits 1 => 2
    n2@1 -> n1 AppendEntriesReply matched=3 r5
    n2 applies 2@1 voters n2,n3|n1,n2,n3
deliver n2 -> n1
show
    n1@1 leader, commit 2, applied 2, log 1 1:voters n2,n3|n1,n2,n3 1:voters n2,n3
    n2@1 follower of n1, commit 2, applied 2, log 1 1:voters n2,n3|n1,n2,n3 1:voters n2,n3
    n3@1 follower of n1, commit 1, applied 1, log 1 1:voters n2,n3|n1,n2,n3
propose n1 x
    n1@1 writes w5 append [4@1]
    n1@1 proposal 2 appended at 4@1
    n1@1 -> n2 AppendEntries prev=3@1 [4@1] commit=2 r7
    n1@1 -> n3 AppendEntries prev=3@1 [4@1] commit=2 r8
quietly run 100ms
settle
show
    n1@1 learner, commit 4, applied 4, log 1 1:voters n2,n3|n1,n2,n3 1:voters n2,n3 1
    n2@1 follower of n1, commit 4, applied 4, log 1 1:voters n2,n3|n1,n2,n3 1:voters n2,n3 1
    n3@1 follower of n1, commit 4, applied 4, log 1 1:voters n2,n3|n1,n2,n3 1:voters n2,n3 1

# It does not come back as a candidate, for it knows that it was removed.
quietly run 5000ms
show
    n1@1 learner, commit 4, applied 4, log 1 1:voters n2,n3|n1,n2,n3 1:voters n2,n3 1
    n2@2 follower of n3, commit 5, applied 5, log 1 1:voters n2,n3|n1,n2,n3 1:voters n2,n3 1 2
    n3@2 leader, commit 5, applied 5, log 1 1:voters n2,n3|n1,n2,n3 1:voters n2,n3 1 2
