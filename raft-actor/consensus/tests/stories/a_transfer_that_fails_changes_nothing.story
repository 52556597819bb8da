# If the target does not lead within a minimum election timeout, the leader takes commands again (dissertation 3.10).
cluster 3
quietly elect n1
quietly run 200ms
cut n1 -> n2
propose n1 x
    n1@1 writes w3 append [2@1]
    n1@1 proposal 1 appended at 2@1
    n1@1 -x n2 AppendEntries prev=1@1 [2@1] commit=1 r7
    n1@1 -> n3 AppendEntries prev=1@1 [2@1] commit=1 r8
transfer n1 n2
quietly run 900ms
propose n1 y
    n1@1 proposal 3 refused, handing over
change n1 n1,n2
    n1@1 change 4 refused, the leader is handing over its office
run 100ms
    n1@1 transfer 2 timed out
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r27
    n1@1 -> n3 AppendEntries prev=2@1 [] commit=2 r28
    n3@1 -> n1 AppendEntriesReply matched=2 r28
propose n1 z
    n1@1 writes w4 append [3@1]
    n1@1 proposal 5 appended at 3@1
    n1@1 -x n2 AppendEntries prev=2@1 [3@1] commit=2 r29
    n1@1 -> n3 AppendEntries prev=2@1 [3@1] commit=2 r30
heal
quietly run 300ms
show
    n1@1 leader, commit 3, applied 3, log 1 1 1
    n2@1 follower of n1, commit 3, applied 3, log 1 1 1
    n3@1 follower of n1, commit 3, applied 3, log 1 1 1
