# n1 and n3 hold what is committed, n2 was cut off. n3 loses its copy and n1 is down: if n3 voted now, n2 would lead
# without it. So nobody leads until n1 is back.
cluster 3
quietly elect n1
quietly settle
quietly partition n2 | n1 n3
quietly propose n1 a b
quietly run 300ms
quietly crash n1
quietly crash n3
damage n3 1
quietly heal
restart n3
run 20ms
deadline n2
    n2@1 -> n1 PreVote term=2 last=1@1
    n2@1 -> n3 PreVote term=2 last=1@1
    n2@1 follower => candidate
settle
    n3@1 -> n2 PreVoteReply denied
quietly run 5000ms
deadline n3
settle
show
    n1 is down, log 1 1 1
    n2@1 candidate, commit 0, applied 0, log 1
    n3@1 follower, commit 0, applied 0, log 1
restart n1
quietly run 5000ms
show
    n1@2 leader, commit 4, applied 4, log 1 1 1 2
    n2@2 follower of n1, commit 4, applied 4, log 1 1 1 2
    n3@2 follower of n1, commit 4, applied 4, log 1 1 1 2
