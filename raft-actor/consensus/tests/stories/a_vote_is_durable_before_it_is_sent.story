# A vote leaves only when it is durable; else a crash could make a server vote
# twice in a term (§5.2, Figure 2: "updated on stable storage before responding").
cluster 3
hold-disk n2
deadline n1
    n1@0 -> n2 PreVote term=1 last=0@0
    n1@0 -> n3 PreVote term=1 last=0@0
    n1@0 follower => candidate
deliver n1 -> n2
    n2@0 -> n1 PreVoteReply term=1 granted
drop n1 -> n3
deliver n2 -> n1
    n1@1 writes w1 term=1 vote=n1
    n1@1 candidate => candidate (from term 0)
    n1@1 -> n2 RequestVote last=0@0
    n1@1 -> n3 RequestVote last=0@0
deliver n1 -> n2
    n2@1 writes w1 term=1 vote=n1
    n2@1 follower => follower (from term 0)

# The vote is written, not durable, and not sent. n2 crashes: it never happened.
crash n2
restart n2
drop
deadline n3
    n3@0 -> n1 PreVote term=1 last=0@0
    n3@0 -> n2 PreVote term=1 last=0@0
    n3@0 follower => candidate
deliver n3 -> n2
    n2@0 -> n3 PreVoteReply term=1 granted
settle
    n1@1 -> n3 PreVoteReply denied
    n3@1 writes w1 term=1 vote=n3
    n3@1 candidate => candidate (from term 0)
    n3@1 -> n1 RequestVote last=0@0
    n3@1 -> n2 RequestVote last=0@0
    n1@1 -> n3 RequestVoteReply denied
    n2@1 writes w1 term=1 vote=n3
    n2@1 follower => follower (from term 0)
# It votes for n3 in the same term, and says so once that is durable.
persist n2
    n2 has durable w1
    n2@1 -> n3 RequestVoteReply granted
settle
    n3@1 writes w2 append [1@1]
    n3@1 candidate => leader, noop at 1
    n3@1 -> n1 AppendEntries prev=0@0 [1@1] commit=0 r1
    n3@1 -> n2 AppendEntries prev=0@0 [1@1] commit=0 r2
    n1@1 writes w2 append [1@1]
    n1@1 candidate => follower of n3
    n1@1 -> n3 AppendEntriesReply matched=1 r1
    n2@1 writes w2 append [1@1]
    n2@1 follower => follower of n3
    n3@1 commits 0 => 1
    n3 applies 1@1 noop
show
    n1@1 follower of n3, commit 0, applied 0, log 1
    n2@1 follower of n3, commit 0, applied 0, log 1
    n3@1 leader, commit 1, applied 1, log 1
