# A TimeoutNow is late, the transfer given up, its target removed. When it arrives, it is of no use any more.
cluster 4
quietly elect n1
quietly run 200ms
transfer n1 n2
    n1@1 -> n2 TimeoutNow
delay n1 -> n2
cut n1 -> n2
quietly run 1000ms
heal
quietly run 300ms
quietly change n1 n1,n3,n4
quietly settle
show
    n1@1 leader, commit 3, applied 3, log 1 1:voters n1,n3,n4|n1,n2,n3,n4 1:voters n1,n3,n4
    n2@1 learner of n1, commit 3, applied 3, log 1 1:voters n1,n3,n4|n1,n2,n3,n4 1:voters n1,n3,n4
    n3@1 follower of n1, commit 2, applied 2, log 1 1:voters n1,n3,n4|n1,n2,n3,n4 1:voters n1,n3,n4
    n4@1 follower of n1, commit 2, applied 2, log 1 1:voters n1,n3,n4|n1,n2,n3,n4 1:voters n1,n3,n4
release
settle
show
    n1@1 leader, commit 3, applied 3, log 1 1:voters n1,n3,n4|n1,n2,n3,n4 1:voters n1,n3,n4
    n2@1 learner of n1, commit 3, applied 3, log 1 1:voters n1,n3,n4|n1,n2,n3,n4 1:voters n1,n3,n4
    n3@1 follower of n1, commit 2, applied 2, log 1 1:voters n1,n3,n4|n1,n2,n3,n4 1:voters n1,n3,n4
    n4@1 follower of n1, commit 2, applied 2, log 1 1:voters n1,n3,n4|n1,n2,n3,n4 1:voters n1,n3,n4
