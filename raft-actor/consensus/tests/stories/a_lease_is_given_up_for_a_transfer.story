# A leader that hands over its office calls an election in spite of every word given to it, so it has no lease any
# more: not while the transfer is under way, and not when it has failed, for TimeoutNow may still be on its way.
cluster 3
lease 10%
quietly elect n1
settle
quietly run 100ms
read-by-lease n1
    n1@1 read 1 may be served at 1
transfer n1 n2
    n1@1 -> n2 TimeoutNow
read-by-lease n1
    n1@1 -> n2 AppendEntries prev=1@1 [] commit=1 r5
    n1@1 -> n3 AppendEntries prev=1@1 [] commit=1 r6
delay n1 -> n2
quietly settle
cut n1 -> n2
quietly run 1000ms
heal
read-by-lease n1
    n1@1 -> n2 AppendEntries prev=1@1 [] commit=1 r27
    n1@1 -> n3 AppendEntries prev=1@1 [] commit=1 r28
settle
    n2@1 -> n1 AppendEntriesReply matched=1 r27
    n3@1 -> n1 AppendEntriesReply matched=1 r28
    n1@1 read 4 may be served at 1

# The message comes now, and n2 is elected while n1 still leads, as far as n1 knows. It answers nothing by itself.
release
deliver n1 -> n2
    n2@2 writes w3 term=2 vote=n2
    n2@2 follower => candidate (from term 1)
    n2@2 -> n1 RequestVote last=1@1 leadership transfer
    n2@2 -> n3 RequestVote last=1@1 leadership transfer
    n2@2 -> n1 AppendEntriesReply stale r5
deliver n2 -> n3
    n3@2 writes w3 term=2 vote=n2
    n3@2 follower => follower (from term 1)
    n3@2 -> n2 RequestVoteReply granted
deliver n3 -> n2
    n2@2 writes w4 append [2@2]
    n2@2 candidate => leader, noop at 2
    n2@2 -> n1 AppendEntries prev=1@1 [2@2] commit=1 r1
    n2@2 -> n3 AppendEntries prev=1@1 [2@2] commit=1 r2
read-by-lease n1
    n1@1 -> n2 AppendEntries prev=1@1 [] commit=1 r29
    n1@1 -> n3 AppendEntries prev=1@1 [] commit=1 r30
show
    n1@1 leader, commit 1, applied 1, log 1
    n2@2 leader, commit 1, applied 1, log 1 2
    n3@2 follower, commit 1, applied 1, log 1
