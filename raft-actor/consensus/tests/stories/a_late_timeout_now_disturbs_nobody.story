# Said twice, late, or to somebody who follows another by now, it does nothing.
cluster 3
quietly elect n1
quietly run 200ms
transfer n1 n2
    n1@1 -> n2 TimeoutNow
copy n1 -> n2
copy n1 -> n2
copy n1 -> n2
deliver n1 -> n2
    n2@2 writes w3 term=2 vote=n2
    n2@2 follower => candidate (from term 1)
    n2@2 -> n1 RequestVote last=1@1 leadership transfer
    n2@2 -> n3 RequestVote last=1@1 leadership transfer

# To a candidate that was told already ...
drop n2 -> n1
drop n2 -> n3
release
copy n1 -> n2
deliver n1 -> n2
show
    n1@1 leader, commit 1, applied 1, log 1
    n2@2 candidate, commit 1, applied 1, log 1
    n3@1 follower of n1, commit 1, applied 1, log 1

# ... and to a leader.
quietly run 5000ms
show
    n1@3 leader, commit 2, applied 2, log 1 3
    n2@3 follower of n1, commit 2, applied 2, log 1 3
    n3@3 follower of n1, commit 2, applied 2, log 1 3
release
settle
show
    n1@3 leader, commit 2, applied 2, log 1 3
    n2@3 follower of n1, commit 2, applied 2, log 1 3
    n3@3 follower of n1, commit 2, applied 2, log 1 3
