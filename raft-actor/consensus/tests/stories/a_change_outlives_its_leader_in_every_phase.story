# The leader of a change may die at any moment: the next one finishes what has begun.
cluster 3
joining n4
quietly elect n1
quietly settle

# Phase 1, n4 shall vote and is a learner until it has caught up. n1 dies when only n2 has this wish.
quietly change n1 n2,n3,n4
quietly deliver n1 -> n2
crash n1
drop
configurations
    n2@1 counts the voters n1 n2 n3 +n4 => n2 n3 n4
    n3@1 counts the voters n1 n2 n3
    n4@0 counts the voters nobody
quietly elect n2
quietly settle
configurations
    n2@2 counts the voters n2 n3 n4
    n3@2 counts the voters n2 n3 n4
    n4@2 counts the voters n2 n3 n4

# Phase 2, joint. n1 shall come back for n2, which dies when only n3 has the joint configuration.
restart n1
quietly change n2 n1,n3,n4
quietly deliver
quietly deliver
quietly deliver
quietly deliver
quietly deliver n2 -> n3
crash n2
drop
configurations
    n1@2 counts the voters n2 n3 n4 +n1 => n1 n3 n4
    n3@2 counts the voters n1 n3 n4 | n2 n3 n4
    n4@2 counts the voters n2 n3 n4 +n1 => n1 n3 n4
quietly elect n3
quietly settle
configurations
    n1@3 counts the voters n1 n3 n4
    n3@3 counts the voters n1 n3 n4
    n4@3 counts the voters n1 n3 n4

# Phase 3, the last configuration. n3 removes itself, and dies when only n1 has that.
quietly change n3 n1,n4
quietly deliver
quietly deliver
quietly deliver n3 -> n1
crash n3
drop
configurations
    n1@3 counts the voters n1 n4
    n4@3 counts the voters n1 n4 | n1 n3 n4
quietly elect n1
quietly settle
configurations
    n1@4 counts the voters n1 n4
    n4@4 counts the voters n1 n4

# Who comes back after that disturbs nobody, whatever it believes.
restart n2
restart n3
quietly run 10000ms
configurations
    n1@4 counts the voters n1 n4
    n2@4 counts the voters n1 n3 n4 | n2 n3 n4
    n3@4 counts the voters n1 n4
    n4@4 counts the voters n1 n4
show
    n1@4 leader, commit 12, applied 12, log 1 1:voters n1,n2,n3 +n4 => n2,n3,n4 2 2:voters n2,n3,n4|n1,n2,n3 2:voters n2,n3,n4 2:voters n2,n3,n4 +n1 => n1,n3,n4 2:voters n1,n3,n4|n2,n3,n4 3 3:voters n1,n3,n4 3:voters n1,n4|n1,n3,n4 3:voters n1,n4 4
    n2@4 follower, commit 0, applied 0, log 1 1:voters n1,n2,n3 +n4 => n2,n3,n4 2 2:voters n2,n3,n4|n1,n2,n3 2:voters n2,n3,n4 2:voters n2,n3,n4 +n1 => n1,n3,n4 2:voters n1,n3,n4|n2,n3,n4
    n3@4 learner of n1, commit 11, applied 11, log 1 1:voters n1,n2,n3 +n4 => n2,n3,n4 2 2:voters n2,n3,n4|n1,n2,n3 2:voters n2,n3,n4 2:voters n2,n3,n4 +n1 => n1,n3,n4 2:voters n1,n3,n4|n2,n3,n4 3 3:voters n1,n3,n4 3:voters n1,n4|n1,n3,n4 3:voters n1,n4
    n4@4 follower of n1, commit 12, applied 12, log 1 1:voters n1,n2,n3 +n4 => n2,n3,n4 2 2:voters n2,n3,n4|n1,n2,n3 2:voters n2,n3,n4 2:voters n2,n3,n4 +n1 => n1,n3,n4 2:voters n1,n3,n4|n2,n3,n4 3 3:voters n1,n3,n4 3:voters n1,n4|n1,n3,n4 3:voters n1,n4 4
