# What is said once may be lost, so it is said with each heartbeat until it is heard or in vain.
cluster 3
quietly elect n1
quietly run 200ms
transfer n1 n3
    n1@1 -> n3 TimeoutNow
drop n1 -> n3
tick 100ms
    n1@1 -> n2 AppendEntries prev=1@1 [] commit=1 r7
    n1@1 -> n3 AppendEntries prev=1@1 [] commit=1 r8
    n1@1 -> n3 TimeoutNow
drop n1 -> n2
settle
    n3@1 -> n1 AppendEntriesReply matched=1 r8
    n3@2 writes w3 term=2 vote=n3
    n3@2 follower => candidate (from term 1)
    n3@2 -> n1 RequestVote last=1@1 leadership transfer
    n3@2 -> n2 RequestVote last=1@1 leadership transfer
    n1@2 writes w3 term=2 vote=n3
    n1@2 leader => follower (from term 1)
    n1@2 -> n3 RequestVoteReply granted
    n2@2 writes w3 term=2 vote=n3
    n2@2 follower => follower (from term 1)
    n2@2 -> n3 RequestVoteReply granted
    n3@2 writes w4 append [2@2]
    n3@2 candidate => leader, noop at 2
    n3@2 -> n1 AppendEntries prev=1@1 [2@2] commit=1 r1
    n3@2 -> n2 AppendEntries prev=1@1 [2@2] commit=1 r2
    n1@2 writes w4 append [2@2]
    n1@2 transfer 1 done, n3 leads term 2
    n1@2 follower => follower of n3
    n1@2 -> n3 AppendEntriesReply matched=2 r1
    n2@2 writes w4 append [2@2]
    n2@2 follower => follower of n3
    n2@2 -> n3 AppendEntriesReply matched=2 r2
    n3@2 commits 1 => 2
    n3 applies 2@2 noop
show
    n1@2 follower of n3, commit 1, applied 1, log 1 2
    n2@2 follower of n3, commit 1, applied 1, log 1 2
    n3@2 leader, commit 2, applied 2, log 1 2
