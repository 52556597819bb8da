# n3 had asked n2 for a pre-vote before it helped to elect n1. Now it learns from the late answer that there are later
# terms than that of n1. It follows nobody any more; but n1 knows nothing of that, and may have a lease by n3's word.
cluster 3
lease 10%
log n2 5
deadline n3
    n3@0 -> n1 PreVote term=1 last=0@0
    n3@0 -> n2 PreVote term=1 last=0@0
    n3@0 follower => candidate
drop n3 -> n1
quietly deliver n3 -> n2
delay n2 -> n3
quietly deadline n1
quietly drop n1 -> n2
quietly deliver n1 -> n3
quietly deliver n3 -> n1
quietly drop n1 -> n2
quietly deliver n1 -> n3
quietly deliver n3 -> n1
quietly drop n1 -> n2
quietly deliver n1 -> n3
deliver n3 -> n1
    n1@1 commits 0 => 1
    n1 applies 1@1 noop
read-by-lease n1
    n1@1 read 1 may be served at 1
release
deliver n2 -> n3
    n3@5 writes w3 term=5
    n3@5 follower => follower (from term 1)

# n2 would have the vote of n3, had it not given its word.
deadline n2
    n2@5 -> n1 PreVote term=6 last=1@5
    n2@5 -> n3 PreVote term=6 last=1@5
    n2@5 follower => candidate
drop n2 -> n1
deliver n2 -> n3
    n3@5 -> n2 PreVoteReply denied
read-by-lease n1
    n1@1 read 2 may be served at 1
show
    n1@1 leader, commit 1, applied 1, log 1
    n2@5 candidate, commit 0, applied 0, log 5
    n3@5 follower, commit 0, applied 0, log 1
