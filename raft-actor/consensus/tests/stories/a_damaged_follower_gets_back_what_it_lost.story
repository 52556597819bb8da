# What was durable on a follower is gone when it comes back. It says so and acknowledges nothing, until it has all that
# the leader had when it first heard of it; then it is a voter like any other, and can lead.
cluster 3
quietly elect n1
quietly settle
quietly propose n1 a b c
quietly run 300ms
crash n3
damage n3 2
quietly propose n1 d
quietly settle
restart n3
show
    n1@1 leader, commit 5, applied 5, log 1 1 1 1 1
    n2@1 follower of n1, commit 4, applied 4, log 1 1 1 1 1
    n3@1 follower, commit 0, applied 0, log 1 1
run 100ms
    n1@1 -> n2 AppendEntries prev=5@1 [] commit=5 r13
    n1@1 -> n3 AppendEntries prev=4@1 [] commit=4 r14
    n2@1 -> n1 AppendEntriesReply matched=5 r13
    n2@1 commits 4 => 5
    n2 applies 5@1 d
    n3@1 -> n1 AppendEntriesReply conflict at=4 hint=2@1 r14 damaged
    n3@1 follower => follower of n1
    n1@1 -> n3 AppendEntries prev=2@1 [3@1 4@1 5@1] commit=5 r15
    n3@1 writes w1 append [3@1 4@1 5@1]
    n3@1 commits 0 => 5
    n3@1 -> n1 AppendEntriesReply matched=5 r15 damaged
    n3 applies 1@1 noop, 2@1 a
    n3 applies 3@1 b, 4@1 c, 5@1 d
    n1@1 -> n2 AppendEntries prev=5@1 [] commit=5 r16
    n1@1 -> n3 AppendEntries prev=0@0 [] commit=0 r17 whole at 5
    n2@1 -> n1 AppendEntriesReply matched=5 r16
    n3@1 -> n1 AppendEntriesReply matched=5 r17 damaged
    n3@1 writes w2 term=1 vote=n1
propose n1 e
    n1@1 writes w5 append [6@1]
    n1@1 proposal 3 appended at 6@1
    n1@1 -> n2 AppendEntries prev=5@1 [6@1] commit=5 r18
    n1@1 -> n3 AppendEntries prev=5@1 [6@1] commit=5 r19
settle
    n2@1 writes w5 append [6@1]
    n2@1 -> n1 AppendEntriesReply matched=6 r18
    n3@1 writes w3 append [6@1]
    n3@1 -> n1 AppendEntriesReply matched=6 r19
    n1@1 commits 5 => 6
    n1 applies 6@1 e
run 100ms
    n1@1 -> n2 AppendEntries prev=6@1 [] commit=6 r20
    n1@1 -> n3 AppendEntries prev=6@1 [] commit=6 r21
    n2@1 -> n1 AppendEntriesReply matched=6 r20
    n2@1 commits 5 => 6
    n2 applies 6@1 e
    n3@1 -> n1 AppendEntriesReply matched=6 r21
    n3@1 commits 5 => 6
    n3 applies 6@1 e
show
    n1@1 leader, commit 6, applied 6, log 1 1 1 1 1 1
    n2@1 follower of n1, commit 6, applied 6, log 1 1 1 1 1 1
    n3@1 follower of n1, commit 6, applied 6, log 1 1 1 1 1 1
quietly crash n1
quietly elect n3
quietly settle
show
    n1 is down, log 1 1 1 1 1 1
    n2@2 follower of n3, commit 6, applied 6, log 1 1 1 1 1 1 2
    n3@2 leader, commit 7, applied 7, log 1 1 1 1 1 1 2
