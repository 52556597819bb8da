# raft-dev, July 2015: two leaders each change the membership by one server. Neither knows of the other's
# configuration, the majorities of the two need not overlap, and something committed is lost.
# So no leader changes anything before it has committed an entry of its own term; and here every change of
# the voters leads through a joint configuration.
cluster 4
joining n5
quietly elect n1
quietly change n1 n1,n2,n3,n4 +n5
quietly run 100ms

# n1 wants to add n5 to the voters, and reaches nobody else.
partition n1 n5 | n2 n3 n4
change n1 n1,n2,n3,n4,n5
    n1@1 writes w4 append [3@1]
    n1@1 change 2 appended at 3@1
    n1@1 -x n2 AppendEntries prev=2@1 [3@1] commit=2 r13
    n1@1 -x n3 AppendEntries prev=2@1 [3@1] commit=2 r14
    n1@1 -x n4 AppendEntries prev=2@1 [3@1] commit=2 r15
    n1@1 -> n5 AppendEntries prev=2@1 [3@1] commit=2 r16
quietly settle
configurations
    n1@1 counts the voters n1 n2 n3 n4 n5 | n1 n2 n3 n4
    n2@1 counts the voters n1 n2 n3 n4 +n5
    n3@1 counts the voters n1 n2 n3 n4 +n5
    n4@1 counts the voters n1 n2 n3 n4 +n5
    n5@1 counts the voters n1 n2 n3 n4 n5 | n1 n2 n3 n4

# n2 leads, and wants to remove n1. Not yet: it has not committed its no-op.
quietly deadline n2
quietly deliver
quietly deliver
quietly deliver
quietly deliver
show
    n1@1 leader, commit 2, applied 2, log 1 1:voters n1,n2,n3,n4 +n5 1:voters n1,n2,n3,n4,n5|n1,n2,n3,n4
    n2@2 leader, commit 2, applied 2, log 1 1:voters n1,n2,n3,n4 +n5 2
    n3@2 follower, commit 2, applied 2, log 1 1:voters n1,n2,n3,n4 +n5
    n4@2 follower, commit 2, applied 2, log 1 1:voters n1,n2,n3,n4 +n5
    n5@1 follower of n1, commit 2, applied 2, log 1 1:voters n1,n2,n3,n4 +n5 1:voters n1,n2,n3,n4,n5|n1,n2,n3,n4
change n2 n2,n3,n4
    n2@2 change 3 refused, the leader has not committed an entry of its term yet

# With the no-op committed, whoever lacks it cannot win an election any more: n1's configuration is lost for good.
quietly settle
change n2 n2,n3,n4
    n2@2 writes w6 append [4@2]
    n2@2 change 4 appended at 4@2
    n2@2 -> n3 AppendEntries prev=3@2 [4@2] commit=3 r5
    n2@2 -> n4 AppendEntries prev=3@2 [4@2] commit=3 r6
quietly settle
configurations
    n1@1 counts the voters n1 n2 n3 n4 n5 | n1 n2 n3 n4
    n2@2 counts the voters n2 n3 n4
    n3@2 counts the voters n2 n3 n4
    n4@2 counts the voters n2 n3 n4
    n5@1 counts the voters n1 n2 n3 n4 n5 | n1 n2 n3 n4

# n1 comes back and asks for votes. In the bug it would win with those of n4 and n5, and undo what n2 has
# committed. Here it needs a majority of n1 to n4 as well, and nobody listens who hears a leader.
heal
deadline n1
    n1@1 leader => follower
deadline n1
    n1@1 -> n2 PreVote term=2 last=3@1
    n1@1 -> n3 PreVote term=2 last=3@1
    n1@1 -> n4 PreVote term=2 last=3@1
    n1@1 -> n5 PreVote term=2 last=3@1
    n1@1 follower => candidate
settle
    n2@2 -> n1 PreVoteReply denied
    n3@2 -> n1 PreVoteReply denied
    n4@2 -> n1 PreVoteReply denied
    n5@1 -> n1 PreVoteReply term=2 granted
    n1@2 writes w5 term=2
    n1@2 candidate => follower (from term 1)
show
    n1@2 follower, commit 2, applied 2, log 1 1:voters n1,n2,n3,n4 +n5 1:voters n1,n2,n3,n4,n5|n1,n2,n3,n4
    n2@2 leader, commit 5, applied 5, log 1 1:voters n1,n2,n3,n4 +n5 2 2:voters n2,n3,n4|n1,n2,n3,n4 2:voters n2,n3,n4
    n3@2 follower of n2, commit 4, applied 4, log 1 1:voters n1,n2,n3,n4 +n5 2 2:voters n2,n3,n4|n1,n2,n3,n4 2:voters n2,n3,n4
    n4@2 follower of n2, commit 4, applied 4, log 1 1:voters n1,n2,n3,n4 +n5 2 2:voters n2,n3,n4|n1,n2,n3,n4 2:voters n2,n3,n4
    n5@1 follower of n1, commit 2, applied 2, log 1 1:voters n1,n2,n3,n4 +n5 1:voters n1,n2,n3,n4,n5|n1,n2,n3,n4
