# A leader that does not hear from a majority for an election timeout steps
# down, so that its clients look for another one (dissertation 6.2).
cluster 3
settings heartbeat_ms=400
quietly elect n1

# One follower is enough for a majority: the leader stays.
partition n3 | n1 n2
quietly run 2000ms
heal
show
    n1@1 leader, commit 1, applied 1, log 1
    n2@1 follower of n1, commit 1, applied 1, log 1
    n3@1 candidate, commit 0, applied 0, log 1
quietly run 900ms

# None is not.
partition n1 | n2 n3
propose n1 x
    n1@1 writes w3 append [2@1]
    n1@1 proposal 1 appended at 2@1
    n1@1 -x n2 AppendEntries prev=1@1 [2@1] commit=1 r17
    n1@1 -x n3 AppendEntries prev=1@1 [2@1] commit=1 r18
read n1
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r19
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r20
tick 1100ms
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r21
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r22
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r23
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r24
    n1@1 read 2 refused, leader unknown
    n1@1 leader => follower
show
    n1@1 follower, commit 1, applied 1, log 1 1
    n2@1 follower of n1, commit 1, applied 1, log 1
    n3@1 follower of n1, commit 1, applied 1, log 1
propose n1 y
    n1@1 proposal 3 refused, leader unknown
read n1
    n1@1 read 4 refused, leader unknown
