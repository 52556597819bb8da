# Changes of the membership that overlap. One at a time: while a configuration is joint or not committed, nothing else
# is begun, so that no two majorities can decide without each other (§6).
cluster 3
quietly elect n1
quietly run 200ms

# The first is joint and cannot be committed: whatever else n1 is asked for has to wait. Also to go back.
partition n1 | n2 n3
change n1 n1
    n1@1 writes w3 append [2@1]
    n1@1 change 1 appended at 2@1
    n1@1 -x n2 AppendEntries prev=1@1 [2@1] commit=1 r7
    n1@1 -x n3 AppendEntries prev=1@1 [2@1] commit=1 r8
change n1 n1,n2
    n1@1 change 2 refused, another change of the membership is under way
change n1 n1,n2,n3
    n1@1 change 3 refused, another change of the membership is under way
configurations
    n1@1 counts the voters n1 | n1 n2 n3
    n2@1 counts the voters n1 n2 n3
    n3@1 counts the voters n1 n2 n3

# The others elect a leader and change the membership their own way, without n1.
quietly run 3000ms
show
    n1@1 candidate, commit 1, applied 1, log 1 1:voters n1|n1,n2,n3
    n2@2 follower of n3, commit 2, applied 2, log 1 2
    n3@2 leader, commit 2, applied 2, log 1 2
change n2 n2,n3
    n2@2 change 4 refused, leader n3
change n3 n2,n3
    n3@2 writes w5 append [3@2]
    n3@2 change 5 appended at 3@2
    n3@2 -> n2 AppendEntries prev=2@2 [3@2] commit=2 r29
quietly settle
configurations
    n1@1 counts the voters n1 | n1 n2 n3
    n2@2 counts the voters n2 n3
    n3@2 counts the voters n2 n3

# Nobody leads n1 any more, so it never learns that it was removed. What it began counts for itself alone: it asks for
# votes in vain and disturbs nobody (dissertation 4.2.3).
heal
quietly run 500ms
configurations
    n1@2 counts the voters n2 n3
    n2@2 counts the voters n2 n3
    n3@2 counts the voters n2 n3
show
    n1@2 learner of n3, commit 4, applied 4, log 1 2 2:voters n2,n3|n1,n2,n3 2:voters n2,n3
    n2@2 follower of n3, commit 4, applied 4, log 1 2 2:voters n2,n3|n1,n2,n3 2:voters n2,n3
    n3@2 leader, commit 4, applied 4, log 1 2 2:voters n2,n3|n1,n2,n3 2:voters n2,n3
