# A cluster of one elects itself, and commits when its own disk has the entry.
cluster 1
deadline n1
    n1@1 writes w1 term=1 vote=n1
    n1@1 follower => candidate (from term 0)
    n1@1 writes w2 append [1@1]
    n1@1 candidate => leader, noop at 1
    n1@1 commits 0 => 1
    n1 applies 1@1 noop
show
    n1@1 leader, commit 1, applied 1, log 1
read n1
    n1@1 read 1 may be served at 1
hold-disk n1
propose n1 x y
    n1@1 writes w3 append [2@1 3@1]
    n1@1 proposal 2 appended at 2@1
read n1
    n1@1 read 3 may be served at 1
show
    n1@1 leader, commit 1, applied 1, log 1 1 1
persist n1
    n1 has durable w3
    n1@1 commits 1 => 3
    n1 applies 2@1 x, 3@1 y
show
    n1@1 leader, commit 3, applied 3, log 1 1 1
free-disk n1
crash n1
restart n1
show
    n1@1 follower, commit 0, applied 0, log 1 1 1
deadline n1
    n1@2 writes w1 term=2 vote=n1
    n1@2 follower => candidate (from term 1)
    n1@2 writes w2 append [4@2]
    n1@2 candidate => leader, noop at 4
    n1@2 commits 0 => 4
    n1 applies 1@1 noop, 2@1 x, 3@1 y, 4@2 noop
show
    n1@2 leader, commit 4, applied 4, log 1 1 1 2
