# Two servers campaign in the same term (§5.2). Each other server votes once,
# first come, first served; the one with the majority wins, and the other
# returns to being a follower when it hears from the winner.
cluster 5

# Both ask for pre-votes (dissertation 9.6). These bind nobody: all can be granted.
deadline n1
    n1@0 -> n2 PreVote term=1 last=0@0
    n1@0 -> n3 PreVote term=1 last=0@0
    n1@0 -> n4 PreVote term=1 last=0@0
    n1@0 -> n5 PreVote term=1 last=0@0
    n1@0 follower => candidate
deadline n2
    n2@0 -> n1 PreVote term=1 last=0@0
    n2@0 -> n3 PreVote term=1 last=0@0
    n2@0 -> n4 PreVote term=1 last=0@0
    n2@0 -> n5 PreVote term=1 last=0@0
    n2@0 follower => candidate
deliver
    n2@0 -> n1 PreVoteReply term=1 granted
    n3@0 -> n1 PreVoteReply term=1 granted
    n4@0 -> n1 PreVoteReply term=1 granted
    n5@0 -> n1 PreVoteReply term=1 granted
    n1@0 -> n2 PreVoteReply term=1 granted
    n3@0 -> n2 PreVoteReply term=1 granted
    n4@0 -> n2 PreVoteReply term=1 granted
    n5@0 -> n2 PreVoteReply term=1 granted
deliver
    n1@1 writes w1 term=1 vote=n1
    n1@1 candidate => candidate (from term 0)
    n1@1 -> n2 RequestVote last=0@0
    n1@1 -> n3 RequestVote last=0@0
    n1@1 -> n4 RequestVote last=0@0
    n1@1 -> n5 RequestVote last=0@0
    n2@1 writes w1 term=1 vote=n2
    n2@1 candidate => candidate (from term 0)
    n2@1 -> n1 RequestVote last=0@0
    n2@1 -> n3 RequestVote last=0@0
    n2@1 -> n4 RequestVote last=0@0
    n2@1 -> n5 RequestVote last=0@0

# Both are candidates of term 1 now. n3 and n5 hear n1 first, n4 hears n2 first.
deliver n1 -> n3
    n3@1 writes w1 term=1 vote=n1
    n3@1 follower => follower (from term 0)
    n3@1 -> n1 RequestVoteReply granted
deliver n2 -> n4
    n4@1 writes w1 term=1 vote=n2
    n4@1 follower => follower (from term 0)
    n4@1 -> n2 RequestVoteReply granted
deliver n1 -> n5
    n5@1 writes w1 term=1 vote=n1
    n5@1 follower => follower (from term 0)
    n5@1 -> n1 RequestVoteReply granted
deliver n2 -> n5
    n5@1 -> n2 RequestVoteReply denied
deliver n2 -> n3
    n3@1 -> n2 RequestVoteReply denied
deliver n1 -> n4
    n4@1 -> n1 RequestVoteReply denied
deliver n1 -> n2
    n2@1 -> n1 RequestVoteReply denied
deliver n2 -> n1
    n1@1 -> n2 RequestVoteReply denied

# The votes: n1 has three with its own.
deliver * -> n1
    n1@1 writes w2 append [1@1]
    n1@1 candidate => leader, noop at 1
    n1@1 -> n2 AppendEntries prev=0@0 [1@1] commit=0 r1
    n1@1 -> n3 AppendEntries prev=0@0 [1@1] commit=0 r2
    n1@1 -> n4 AppendEntries prev=0@0 [1@1] commit=0 r3
    n1@1 -> n5 AppendEntries prev=0@0 [1@1] commit=0 r4
deliver * -> n2
    n2@1 candidate => follower
    n2@1 writes w2 append [1@1]
    n2@1 follower => follower of n1
    n2@1 -> n1 AppendEntriesReply matched=1 r1

settle
    n3@1 writes w2 append [1@1]
    n3@1 follower => follower of n1
    n3@1 -> n1 AppendEntriesReply matched=1 r2
    n4@1 writes w2 append [1@1]
    n4@1 follower => follower of n1
    n4@1 -> n1 AppendEntriesReply matched=1 r3
    n5@1 writes w2 append [1@1]
    n5@1 follower => follower of n1
    n5@1 -> n1 AppendEntriesReply matched=1 r4
    n1@1 commits 0 => 1
    n1 applies 1@1 noop
show
    n1@1 leader, commit 1, applied 1, log 1
    n2@1 follower of n1, commit 0, applied 0, log 1
    n3@1 follower of n1, commit 0, applied 0, log 1
    n4@1 follower of n1, commit 0, applied 0, log 1
    n5@1 follower of n1, commit 0, applied 0, log 1
