# Two targets would campaign against each other: the second transfer is refused while the first is under way. Whoever
# wants the same as the first, or does not care, waits for it.
cluster 3
quietly elect n1
quietly run 200ms
hold-streams n1
quietly propose n1 x
transfer n1 n2
transfer n1 n3
    n1@1 transfer 3 refused, leadership is being transferred to node 2
transfer n1
transfer n1 n2
free-streams n1
    n1@1 -> n2 AppendEntries prev=1@1 [2@1] commit=1 r7
    n1@1 -> n3 AppendEntries prev=1@1 [2@1] commit=1 r8
quietly settle
show
    n1@2 follower of n2, commit 2, applied 2, log 1 1 2
    n2@2 leader, commit 3, applied 3, log 1 1 2
    n3@2 follower of n2, commit 1, applied 1, log 1 1 2

# It leads already. And who does not lead cannot give its office away.
transfer n2 n2
    n2@2 transfer 6 done, n2 leads term 2
transfer n1 n2
    n1@2 transfer 7 refused, leader n2
