# The target campaigns and is not heard; another member wins a later term.
cluster 3
quietly elect n1
quietly run 200ms
transfer n1 n2
    n1@1 -> n2 TimeoutNow
deliver n1 -> n2
    n2@2 writes w3 term=2 vote=n2
    n2@2 follower => candidate (from term 1)
    n2@2 -> n1 RequestVote last=1@1 leadership transfer
    n2@2 -> n3 RequestVote last=1@1 leadership transfer
drop n2 -> n3
deliver n2 -> n1
    n1@2 writes w3 term=2 vote=n2
    n1@2 leader => follower (from term 1)
    n1@2 -> n2 RequestVoteReply granted
drop n1 -> n2
partition n2 | n1 n3

# n3 has to learn of the term in which n1 gave its vote away, and tries once more.
quietly deadline n3
quietly settle
deadline n3
    n3@2 -> n1 PreVote term=3 last=1@1
    n3@2 -x n2 PreVote term=3 last=1@1
    n3@2 follower => candidate
settle
    n1@2 -> n3 PreVoteReply term=3 granted
    n3@3 writes w4 term=3 vote=n3
    n3@3 candidate => candidate (from term 2)
    n3@3 -> n1 RequestVote last=1@1
    n3@3 -x n2 RequestVote last=1@1
    n1@3 writes w4 term=3 vote=n3
    n1@3 follower => follower (from term 2)
    n1@3 -> n3 RequestVoteReply granted
    n3@3 writes w5 append [2@3]
    n3@3 candidate => leader, noop at 2
    n3@3 -> n1 AppendEntries prev=1@1 [2@3] commit=1 r1
    n3@3 -x n2 AppendEntries prev=1@1 [2@3] commit=1 r2
    n1@3 writes w5 append [2@3]
    n1@3 transfer 1 superseded, n3 leads term 3
    n1@3 follower => follower of n3
    n1@3 -> n3 AppendEntriesReply matched=2 r1
    n3@3 commits 1 => 2
    n3 applies 2@3 noop
