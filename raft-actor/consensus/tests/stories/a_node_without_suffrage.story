# A member that may not vote yet (its directory is not confirmed) takes part in
# replication, but neither votes nor campaigns until it may.
cluster 3
without-suffrage n3
crash n2
deadline n1
    n1@0 -> n2 PreVote term=1 last=0@0
    n1@0 -> n3 PreVote term=1 last=0@0
    n1@0 follower => candidate
settle
    n3@0 -> n1 PreVoteReply denied
show
    n1@0 candidate, commit 0, applied 0, log empty
    n2 is down, log empty
    n3@0 follower, commit 0, applied 0, log empty

grant-suffrage n3
deadline n1
    n1@0 -> n2 PreVote term=1 last=0@0
    n1@0 -> n3 PreVote term=1 last=0@0
settle
    n3@0 -> n1 PreVoteReply term=1 granted
    n1@1 writes w1 term=1 vote=n1
    n1@1 candidate => candidate (from term 0)
    n1@1 -> n2 RequestVote last=0@0
    n1@1 -> n3 RequestVote last=0@0
    n3@1 writes w1 term=1 vote=n1
    n3@1 follower => follower (from term 0)
    n3@1 -> n1 RequestVoteReply granted
    n1@1 writes w2 append [1@1]
    n1@1 candidate => leader, noop at 1
    n1@1 -> n2 AppendEntries prev=0@0 [1@1] commit=0 r1
    n1@1 -> n3 AppendEntries prev=0@0 [1@1] commit=0 r2
    n3@1 writes w2 append [1@1]
    n3@1 follower => follower of n1
    n3@1 -> n1 AppendEntriesReply matched=1 r2
    n1@1 commits 0 => 1
    n1 applies 1@1 noop
show
    n1@1 leader, commit 1, applied 1, log 1
    n2 is down, log empty
    n3@1 follower of n1, commit 0, applied 0, log 1
