# A voter that comes back with an empty disk has forgotten what it promised: what it
# answers counts for nothing, until it was removed and added again.
cluster 2
joining n3
disks
quietly elect n1
quietly run 100ms
change n1 n1,n2,n3
    n1@1 writes w3 append [2@1]
    n1@1 change 1 appended at 2@1
    n1@1 -> n2 AppendEntries prev=1@1 [2@1] commit=1 r3
    n1@1 -> n3 AppendEntries prev=1@1 [2@1] commit=1 r4
quietly run 200ms
configurations
    n1@1 counts the voters n1 n2 n3
    n2@1 counts the voters n1 n2 n3
    n3@1 counts the voters n1 n2 n3

# It takes what it is sent, and finds out by that that it is not who it was.
wipe n3
restart n3
crash n2
propose n1 x
    n1@1 writes w6 append [5@1]
    n1@1 proposal 2 appended at 5@1
    n1@1 -> n2 AppendEntries prev=4@1 [5@1] commit=4 r14
    n1@1 -> n3 AppendEntries prev=4@1 [5@1] commit=4 r15
settle
    n3@1 writes w1 term=1
    n3@1 learner => learner of n1 (from term 0)
    n3@1 -> n1 AppendEntriesReply conflict at=4 hint=0@0 r15
    n1@1 -> n3 AppendEntries prev=0@0 [1@1..5@1] commit=4 r16
    n3@1 writes w2 append [1@1..5@1]
    n3@1 learner => follower of n1
    n3@1 commits 0 => 4
    n3@1 -> n1 AppendEntriesReply matched=5 r16
    n3 applies 1@1 noop, 2@1 voters n1,n2 +n3 => n1,n2,n3, 3@1 voters n1,n2,n3|n1,n2, 4@1 voters n1,n2,n3
show
    n1@1 leader, commit 4, applied 4, log 1 1:voters n1,n2 +n3 => n1,n2,n3 1:voters n1,n2,n3|n1,n2 1:voters n1,n2,n3 1
    n2 is down, log 1 1:voters n1,n2 +n3 => n1,n2,n3 1:voters n1,n2,n3|n1,n2 1:voters n1,n2,n3
    n3@1 follower of n1, commit 4, applied 4, log 1 1:voters n1,n2 +n3 => n1,n2,n3 1:voters n1,n2,n3|n1,n2 1:voters n1,n2,n3 1
restart n2
quietly run 200ms
show
    n1@1 leader, commit 5, applied 5, log 1 1:voters n1,n2 +n3 => n1,n2,n3 1:voters n1,n2,n3|n1,n2 1:voters n1,n2,n3 1
    n2@1 follower of n1, commit 5, applied 5, log 1 1:voters n1,n2 +n3 => n1,n2,n3 1:voters n1,n2,n3|n1,n2 1:voters n1,n2,n3 1
    n3@1 follower of n1, commit 4, applied 4, log 1 1:voters n1,n2 +n3 => n1,n2,n3 1:voters n1,n2,n3|n1,n2 1:voters n1,n2,n3 1

change n1 n1,n2
    n1@1 writes w7 append [6@1]
    n1@1 change 3 appended at 6@1
    n1@1 -> n2 AppendEntries prev=5@1 [6@1] commit=5 r23
quietly run 1000ms
change n1 n1,n2,n3
    n1@1 writes w9 append [8@1]
    n1@1 change 4 appended at 8@1
    n1@1 -> n2 AppendEntries prev=7@1 [8@1] commit=7 r37
    n1@1 -> n3 AppendEntries prev=7@1 [8@1] commit=7 r38
quietly run 200ms
configurations
    n1@1 counts the voters n1 n2 n3
    n2@1 counts the voters n1 n2 n3
    n3@1 counts the voters n1 n2 n3
crash n2
propose n1 y
    n1@1 writes w12 append [11@1]
    n1@1 proposal 5 appended at 11@1
    n1@1 -> n2 AppendEntries prev=10@1 [11@1] commit=10 r47
    n1@1 -> n3 AppendEntries prev=10@1 [11@1] commit=10 r48
settle
    n3@1 writes w7 append [11@1]
    n3@1 -> n1 AppendEntriesReply matched=11 r48
    n1@1 commits 10 => 11
    n1 applies 11@1 y
