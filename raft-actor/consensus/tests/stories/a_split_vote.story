# Two candidates get half of the votes each: nobody wins, and the term ends
# without a leader. The next randomized timeout breaks the tie (§5.2).
cluster 4
deadline n1
    n1@0 -> n2 PreVote term=1 last=0@0
    n1@0 -> n3 PreVote term=1 last=0@0
    n1@0 -> n4 PreVote term=1 last=0@0
    n1@0 follower => candidate
deadline n2
    n2@0 -> n1 PreVote term=1 last=0@0
    n2@0 -> n3 PreVote term=1 last=0@0
    n2@0 -> n4 PreVote term=1 last=0@0
    n2@0 follower => candidate
deliver
    n2@0 -> n1 PreVoteReply term=1 granted
    n3@0 -> n1 PreVoteReply term=1 granted
    n4@0 -> n1 PreVoteReply term=1 granted
    n1@0 -> n2 PreVoteReply term=1 granted
    n3@0 -> n2 PreVoteReply term=1 granted
    n4@0 -> n2 PreVoteReply term=1 granted
deliver
    n1@1 writes w1 term=1 vote=n1
    n1@1 candidate => candidate (from term 0)
    n1@1 -> n2 RequestVote last=0@0
    n1@1 -> n3 RequestVote last=0@0
    n1@1 -> n4 RequestVote last=0@0
    n2@1 writes w1 term=1 vote=n2
    n2@1 candidate => candidate (from term 0)
    n2@1 -> n1 RequestVote last=0@0
    n2@1 -> n3 RequestVote last=0@0
    n2@1 -> n4 RequestVote last=0@0

# n1 and n2 are candidates of term 1. n3 votes for n1, n4 for n2.
deliver n1 -> n3
    n3@1 writes w1 term=1 vote=n1
    n3@1 follower => follower (from term 0)
    n3@1 -> n1 RequestVoteReply granted
deliver n2 -> n4
    n4@1 writes w1 term=1 vote=n2
    n4@1 follower => follower (from term 0)
    n4@1 -> n2 RequestVoteReply granted
settle
    n2@1 -> n1 RequestVoteReply denied
    n4@1 -> n1 RequestVoteReply denied
    n1@1 -> n2 RequestVoteReply denied
    n3@1 -> n2 RequestVoteReply denied
    n1@1 candidate => follower
    n2@1 candidate => follower
show
    n1@1 follower, commit 0, applied 0, log empty
    n2@1 follower, commit 0, applied 0, log empty
    n3@1 follower, commit 0, applied 0, log empty
    n4@1 follower, commit 0, applied 0, log empty

# n1 times out first. Nobody has heard from a leader, so the pre-vote is granted.
deadline n1
    n1@1 -> n2 PreVote term=2 last=0@0
    n1@1 -> n3 PreVote term=2 last=0@0
    n1@1 -> n4 PreVote term=2 last=0@0
    n1@1 follower => candidate
settle
    n2@1 -> n1 PreVoteReply term=2 granted
    n3@1 -> n1 PreVoteReply term=2 granted
    n4@1 -> n1 PreVoteReply term=2 granted
    n1@2 writes w2 term=2 vote=n1
    n1@2 candidate => candidate (from term 1)
    n1@2 -> n2 RequestVote last=0@0
    n1@2 -> n3 RequestVote last=0@0
    n1@2 -> n4 RequestVote last=0@0
    n2@2 writes w2 term=2 vote=n1
    n2@2 follower => follower (from term 1)
    n2@2 -> n1 RequestVoteReply granted
    n3@2 writes w2 term=2 vote=n1
    n3@2 follower => follower (from term 1)
    n3@2 -> n1 RequestVoteReply granted
    n4@2 writes w2 term=2 vote=n1
    n4@2 follower => follower (from term 1)
    n4@2 -> n1 RequestVoteReply granted
    n1@2 writes w3 append [1@2]
    n1@2 candidate => leader, noop at 1
    n1@2 -> n2 AppendEntries prev=0@0 [1@2] commit=0 r1
    n1@2 -> n3 AppendEntries prev=0@0 [1@2] commit=0 r2
    n1@2 -> n4 AppendEntries prev=0@0 [1@2] commit=0 r3
    n2@2 writes w3 append [1@2]
    n2@2 follower => follower of n1
    n2@2 -> n1 AppendEntriesReply matched=1 r1
    n3@2 writes w3 append [1@2]
    n3@2 follower => follower of n1
    n3@2 -> n1 AppendEntriesReply matched=1 r2
    n4@2 writes w3 append [1@2]
    n4@2 follower => follower of n1
    n4@2 -> n1 AppendEntriesReply matched=1 r3
    n1@2 commits 0 => 1
    n1 applies 1@2 noop
show
    n1@2 leader, commit 1, applied 1, log 2
    n2@2 follower of n1, commit 0, applied 0, log 2
    n3@2 follower of n1, commit 0, applied 0, log 2
    n4@2 follower of n1, commit 0, applied 0, log 2
