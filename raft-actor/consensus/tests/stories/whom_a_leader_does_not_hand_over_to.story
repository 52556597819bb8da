# Only to voters of its latest configuration: not to a learner, not to a stranger, not to who is about to be removed.
cluster 4
quietly elect n1
quietly run 200ms
quietly change n1 n1,n2,n3 +n4
quietly settle
transfer n1 n4
    n1@1 transfer 2 refused, node 4 is no voter
transfer n1 n9
    n1@1 transfer 3 refused, node 9 is no voter
quietly change n1 n1,n2,n4
configurations
    n1@1 counts the voters n1 n2 n4 | n1 n2 n3
    n2@1 counts the voters n1 n2 n3 +n4
    n3@1 counts the voters n1 n2 n3 +n4
    n4@1 counts the voters n1 n2 n3 +n4
transfer n1 n3
    n1@1 transfer 5 refused, node 3 is no voter
quietly settle

# If it may choose, it chooses who has most of its log, among those who have answered lately.
quietly partition n2 | n1 n3 n4
quietly propose n1 x
quietly run 300ms
transfer n1
    n1@1 -> n4 TimeoutNow
