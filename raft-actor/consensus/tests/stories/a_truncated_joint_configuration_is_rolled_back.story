# A joint configuration counts as soon as it is in the log, and no longer when it is truncated (§6).
cluster 3
joining n4
quietly elect n1
quietly change n1 n1,n2,n3 +n4
quietly settle
configurations
    n1@1 counts the voters n1 n2 n3 +n4
    n2@1 counts the voters n1 n2 n3 +n4
    n3@1 counts the voters n1 n2 n3 +n4
    n4@1 counts the voters n1 n2 n3 +n4

# n1 appends the joint configuration, cut off from everybody but n4.
partition n1 n4 | n2 n3
change n1 n1,n4
    n1@1 writes w4 append [3@1]
    n1@1 change 2 appended at 3@1
    n1@1 -x n2 AppendEntries prev=2@1 [3@1] commit=2 r7
    n1@1 -x n3 AppendEntries prev=2@1 [3@1] commit=2 r8
    n1@1 -> n4 AppendEntries prev=2@1 [3@1] commit=2 r9
quietly settle
configurations
    n1@1 counts the voters n1 n4 | n1 n2 n3
    n2@1 counts the voters n1 n2 n3 +n4
    n3@1 counts the voters n1 n2 n3 +n4
    n4@1 counts the voters n1 n4 | n1 n2 n3

# Nothing can be decided by n1 and n4: it takes a majority of n1, n2 and n3 as well.
propose n1 lost
    n1@1 writes w5 append [4@1]
    n1@1 proposal 3 appended at 4@1
    n1@1 -x n2 AppendEntries prev=3@1 [4@1] commit=2 r10
    n1@1 -x n3 AppendEntries prev=3@1 [4@1] commit=2 r11
    n1@1 -> n4 AppendEntries prev=3@1 [4@1] commit=2 r12
quietly settle
show
    n1@1 leader, commit 2, applied 2, log 1 1:voters n1,n2,n3 +n4 1:voters n1,n4|n1,n2,n3 1
    n2@1 follower of n1, commit 1, applied 1, log 1 1:voters n1,n2,n3 +n4
    n3@1 follower of n1, commit 1, applied 1, log 1 1:voters n1,n2,n3 +n4
    n4@1 follower of n1, commit 2, applied 2, log 1 1:voters n1,n2,n3 +n4 1:voters n1,n4|n1,n2,n3 1

# The others know nothing of it, and go on. n1 and n4 come back to the configuration before.
quietly elect n2
quietly propose n2 kept
quietly settle
heal
quietly run 500ms
configurations
    n1@2 counts the voters n1 n2 n3 +n4
    n2@2 counts the voters n1 n2 n3 +n4
    n3@2 counts the voters n1 n2 n3 +n4
    n4@2 counts the voters n1 n2 n3 +n4
show
    n1@2 follower of n2, commit 4, applied 4, log 1 1:voters n1,n2,n3 +n4 2 2
    n2@2 leader, commit 4, applied 4, log 1 1:voters n1,n2,n3 +n4 2 2
    n3@2 follower of n2, commit 4, applied 4, log 1 1:voters n1,n2,n3 +n4 2 2
    n4@2 learner of n2, commit 4, applied 4, log 1 1:voters n1,n2,n3 +n4 2 2
crash n4
restart n4
configurations
    n1@2 counts the voters n1 n2 n3 +n4
    n2@2 counts the voters n1 n2 n3 +n4
    n3@2 counts the voters n1 n2 n3 +n4
    n4@2 counts the voters n1 n2 n3 +n4
