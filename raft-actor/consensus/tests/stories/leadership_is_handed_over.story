# A leader that is to hand over its office stops appending, brings the target level and tells it to campaign. Nobody
# refuses the candidate although the leader is alive: its request says on whose word it comes (dissertation 3.10).
cluster 3
quietly elect n1
quietly run 200ms
hold-streams n1
propose n1 x
    n1@1 writes w3 append [2@1]
    n1@1 proposal 1 appended at 2@1
transfer n1 n2

# It has no second chance for this command; but what it has appended it still replicates.
propose n1 y
    n1@1 proposal 3 refused, handing over
read n1
    n1@1 -> n2 AppendEntries prev=1@1 [] commit=1 r9
    n1@1 -> n3 AppendEntries prev=1@1 [] commit=1 r10
free-streams n1
    n1@1 -> n2 AppendEntries prev=1@1 [2@1] commit=1 r7
    n1@1 -> n3 AppendEntries prev=1@1 [2@1] commit=1 r8
quietly deliver n1 -> n3
deliver n1 -> n2
    n2@1 -> n1 AppendEntriesReply matched=1 r9
    n2@1 writes w3 append [2@1]
    n2@1 -> n1 AppendEntriesReply matched=2 r7
deliver n2 -> n1
    n1@1 read 4 may be served at 1
    n1@1 -> n2 TimeoutNow
    n1@1 commits 1 => 2
    n1 applies 2@1 x

# n2 durably has all there is. It does not ask first whether it would be elected.
deliver n1 -> n2
    n2@2 writes w4 term=2 vote=n2
    n2@2 follower => candidate (from term 1)
    n2@2 -> n1 RequestVote last=2@1 leadership transfer
    n2@2 -> n3 RequestVote last=2@1 leadership transfer
deliver n2 -> n3
    n3@2 writes w4 term=2 vote=n2
    n3@2 follower => follower (from term 1)
    n3@2 -> n2 RequestVoteReply granted
deliver n3 -> n2
    n2@2 writes w5 append [3@2]
    n2@2 candidate => leader, noop at 3
    n2@2 -> n1 AppendEntries prev=2@1 [3@2] commit=1 r1
    n2@2 -> n3 AppendEntries prev=2@1 [3@2] commit=1 r2
settle
    n1@2 writes w4 term=2 vote=n2
    n1@2 leader => follower (from term 1)
    n1@2 -> n2 RequestVoteReply granted
    n1@2 writes w5 append [3@2]
    n1@2 transfer 2 done, n2 leads term 2
    n1@2 follower => follower of n2
    n1@2 -> n2 AppendEntriesReply matched=3 r1
    n3@2 writes w5 append [3@2]
    n3@2 follower => follower of n2
    n3@2 -> n2 AppendEntriesReply matched=3 r2
    n2@2 commits 1 => 3
    n2 applies 2@1 x, 3@2 noop
show
    n1@2 follower of n2, commit 2, applied 2, log 1 1 2
    n2@2 leader, commit 3, applied 3, log 1 1 2
    n3@2 follower of n2, commit 1, applied 1, log 1 1 2
