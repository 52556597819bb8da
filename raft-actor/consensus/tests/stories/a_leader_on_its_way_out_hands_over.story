# All voters are replaced, and the leader hands over while the configuration is joint (dissertation 3.10): the next leader
# leaves the joint configuration, at once, and those who are removed learn it from a leader whom they hardly know.
cluster 3
joining n4 n5 n6
quietly elect n1
quietly run 200ms
quietly change n1 n1,n2,n3,n4,n5,n6
quietly settle
configurations
    n1@1 counts the voters n1 n2 n3 n4 n5 n6
    n2@1 counts the voters n1 n2 n3 n4 n5 n6
    n3@1 counts the voters n1 n2 n3 n4 n5 n6
    n4@1 counts the voters n1 n2 n3 n4 n5 n6
    n5@1 counts the voters n1 n2 n3 n4 n5 n6
    n6@1 counts the voters n1 n2 n3 n4 n5 n6
change n1 n4,n5,n6
    n1@1 writes w6 append [5@1]
    n1@1 change 2 appended at 5@1
    n1@1 -> n2 AppendEntries prev=4@1 [5@1] commit=4 r25
    n1@1 -> n3 AppendEntries prev=4@1 [5@1] commit=4 r26
    n1@1 -> n4 AppendEntries prev=4@1 [5@1] commit=4 r27
    n1@1 -> n5 AppendEntries prev=4@1 [5@1] commit=4 r28
    n1@1 -> n6 AppendEntries prev=4@1 [5@1] commit=4 r29
transfer n1 n4
quietly settle
configurations
    n1@2 counts the voters n4 n5 n6
    n2@2 counts the voters n4 n5 n6
    n3@2 counts the voters n4 n5 n6
    n4@2 counts the voters n4 n5 n6
    n5@2 counts the voters n4 n5 n6
    n6@2 counts the voters n4 n5 n6
show
    n1@2 learner of n4, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n2@2 learner of n4, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n3@2 learner of n4, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n4@2 leader, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n5@2 follower of n4, commit 6, applied 6, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n6@2 follower of n4, commit 6, applied 6, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6

# They know that they are removed, and do not campaign (dissertation 4.2.2).
quietly run 3000ms
show
    n1@2 learner of n4, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n2@2 learner of n4, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n3@2 learner of n4, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n4@2 leader, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n5@2 follower of n4, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n6@2 follower of n4, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
