# n3 does not hear the leader, n2 does. n2 restarts: whom it heard before it does not know, so it acts as if it had
# heard a leader just now, and helps n3 to nothing while the lease of n1 may rest upon its word.
cluster 3
lease 10%
quietly elect n1
settle
quietly cut n1 -> n3
quietly cut n3 -> n1
quietly propose n1 x
quietly settle
deadline n3
    n3@1 -x n1 PreVote term=2 last=1@1
    n3@1 -> n2 PreVote term=2 last=1@1
    n3@1 follower => candidate
deliver n3 -> n2
    n2@1 -> n3 PreVoteReply denied
deliver n2 -> n3
crash n2
restart n2
deadline n3
    n3@1 -x n1 PreVote term=2 last=1@1
    n3@1 -> n2 PreVote term=2 last=1@1
deliver n3 -> n2
    n2@1 -> n3 PreVoteReply denied
read-by-lease n1
    n1@1 -> n2 AppendEntries prev=2@1 [] commit=2 r5
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r6
show
    n1@1 leader, commit 2, applied 2, log 1 1
    n2@1 follower, commit 0, applied 0, log 1 1
    n3@1 candidate, commit 0, applied 0, log 1
