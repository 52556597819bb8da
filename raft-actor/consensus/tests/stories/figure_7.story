# Figure 7: the leader of term 8 (n1) and followers (a) to (f), n2 to n7,
# whose logs differ from its own in every possible way. All are brought into
# line, each in at most three AppendEntries, by hints that skip whole terms (§5.3).
cluster 7
log n1 1 1 1 4 4 5 5 6 6 6
log n2 1 1 1 4 4 5 5 6 6
log n3 1 1 1 4
log n4 1 1 1 4 4 5 5 6 6 6 6
log n5 1 1 1 4 4 5 5 6 6 6 7 7
log n6 1 1 1 4 4 4 4
log n7 1 1 1 2 2 2 3 3 3 3 3
term n1 7
show
    n1@7 follower, commit 0, applied 0, log 1 1 1 4 4 5 5 6 6 6
    n2@6 follower, commit 0, applied 0, log 1 1 1 4 4 5 5 6 6
    n3@4 follower, commit 0, applied 0, log 1 1 1 4
    n4@6 follower, commit 0, applied 0, log 1 1 1 4 4 5 5 6 6 6 6
    n5@7 follower, commit 0, applied 0, log 1 1 1 4 4 5 5 6 6 6 7 7
    n6@4 follower, commit 0, applied 0, log 1 1 1 4 4 4 4
    n7@3 follower, commit 0, applied 0, log 1 1 1 2 2 2 3 3 3 3 3

# The votes of (a), (b), (e), (f): (c) and (d) have longer or later logs.
deadline n1
    n1@7 -> n2 PreVote term=8 last=10@6
    n1@7 -> n3 PreVote term=8 last=10@6
    n1@7 -> n4 PreVote term=8 last=10@6
    n1@7 -> n5 PreVote term=8 last=10@6
    n1@7 -> n6 PreVote term=8 last=10@6
    n1@7 -> n7 PreVote term=8 last=10@6
    n1@7 follower => candidate
deliver
    n2@6 -> n1 PreVoteReply term=8 granted
    n3@4 -> n1 PreVoteReply term=8 granted
    n4@6 -> n1 PreVoteReply denied
    n5@7 -> n1 PreVoteReply denied
    n6@4 -> n1 PreVoteReply term=8 granted
    n7@3 -> n1 PreVoteReply term=8 granted
deliver
    n1@8 writes w1 term=8 vote=n1
    n1@8 candidate => candidate (from term 7)
    n1@8 -> n2 RequestVote last=10@6
    n1@8 -> n3 RequestVote last=10@6
    n1@8 -> n4 RequestVote last=10@6
    n1@8 -> n5 RequestVote last=10@6
    n1@8 -> n6 RequestVote last=10@6
    n1@8 -> n7 RequestVote last=10@6
deliver
    n2@8 writes w1 term=8 vote=n1
    n2@8 follower => follower (from term 6)
    n2@8 -> n1 RequestVoteReply granted
    n3@8 writes w1 term=8 vote=n1
    n3@8 follower => follower (from term 4)
    n3@8 -> n1 RequestVoteReply granted
    n4@8 writes w1 term=8
    n4@8 follower => follower (from term 6)
    n4@8 -> n1 RequestVoteReply denied
    n5@8 writes w1 term=8
    n5@8 follower => follower (from term 7)
    n5@8 -> n1 RequestVoteReply denied
    n6@8 writes w1 term=8 vote=n1
    n6@8 follower => follower (from term 4)
    n6@8 -> n1 RequestVoteReply granted
    n7@8 writes w1 term=8 vote=n1
    n7@8 follower => follower (from term 3)
    n7@8 -> n1 RequestVoteReply granted
deliver
    n1@8 writes w2 append [11@8]
    n1@8 candidate => leader, noop at 11
    n1@8 -> n2 AppendEntries prev=10@6 [11@8] commit=0 r1
    n1@8 -> n3 AppendEntries prev=10@6 [11@8] commit=0 r2
    n1@8 -> n4 AppendEntries prev=10@6 [11@8] commit=0 r3
    n1@8 -> n5 AppendEntries prev=10@6 [11@8] commit=0 r4
    n1@8 -> n6 AppendEntries prev=10@6 [11@8] commit=0 r5
    n1@8 -> n7 AppendEntries prev=10@6 [11@8] commit=0 r6

# Replication: first to (a) ...
deliver n1 -> n2
    n2@8 -> n1 AppendEntriesReply conflict at=10 hint=9@6 r1
    n2@8 follower => follower of n1
deliver n2 -> n1
    n1@8 -> n2 AppendEntries prev=9@6 [10@6 11@8] commit=0 r7
# (b), which misses many entries
deliver n1 -> n3
    n3@8 -> n1 AppendEntriesReply conflict at=10 hint=4@4 r2
    n3@8 follower => follower of n1
deliver n3 -> n1
    n1@8 -> n3 AppendEntries prev=4@4 [5@4 6@5 7@5 8@6 9@6 10@6 11@8] commit=0 r8
# (c), with an entry too many
deliver n1 -> n4
    n4@8 writes w2 replace [11@8]
    n4@8 follower => follower of n1
    n4@8 -> n1 AppendEntriesReply matched=11 r3
deliver n4 -> n1
# (d), with entries of a later term than any of the leader's
deliver n1 -> n5
    n5@8 writes w2 replace [11@8]
    n5@8 follower => follower of n1
    n5@8 -> n1 AppendEntriesReply matched=11 r4
deliver n5 -> n1
# (e), with entries of the leader's terms that are not the leader's
deliver n1 -> n6
    n6@8 -> n1 AppendEntriesReply conflict at=10 hint=7@4 r5
    n6@8 follower => follower of n1
deliver n6 -> n1
    n1@8 -> n6 AppendEntries prev=5@4 [6@5 7@5 8@6 9@6 10@6 11@8] commit=0 r9
# (f), with entries of two terms that the leader never saw
deliver n1 -> n7
    n7@8 -> n1 AppendEntriesReply conflict at=10 hint=9@3 r6
    n7@8 follower => follower of n1
deliver n7 -> n1
    n1@8 -> n7 AppendEntries prev=3@1 [4@4 5@4 6@5 7@5 8@6 9@6 10@6 11@8] commit=0 r10
settle
    n2@8 writes w2 append [10@6 11@8]
    n2@8 -> n1 AppendEntriesReply matched=11 r7
    n3@8 writes w2 append [5@4 6@5 7@5 8@6 9@6 10@6 11@8]
    n3@8 -> n1 AppendEntriesReply matched=11 r8
    n6@8 writes w2 replace [6@5 7@5 8@6 9@6 10@6 11@8]
    n6@8 -> n1 AppendEntriesReply matched=11 r9
    n7@8 writes w2 replace [4@4 5@4 6@5 7@5 8@6 9@6 10@6 11@8]
    n7@8 -> n1 AppendEntriesReply matched=11 r10
    n1@8 commits 0 => 11
    n1 applies 1@1 1@1, 2@1 2@1, 3@1 3@1, 4@4 4@4, 5@4 5@4, 6@5 6@5, 7@5 7@5, 8@6 8@6, 9@6 9@6, 10@6 10@6, 11@8 noop
deadline n1
    n1@8 -> n2 AppendEntries prev=11@8 [] commit=11 r11
    n1@8 -> n3 AppendEntries prev=11@8 [] commit=11 r12
    n1@8 -> n4 AppendEntries prev=11@8 [] commit=11 r13
    n1@8 -> n5 AppendEntries prev=11@8 [] commit=11 r14
    n1@8 -> n6 AppendEntries prev=11@8 [] commit=11 r15
    n1@8 -> n7 AppendEntries prev=11@8 [] commit=11 r16
settle
    n2@8 -> n1 AppendEntriesReply matched=11 r11
    n2@8 commits 0 => 11
    n2 applies 1@1 1@1, 2@1 2@1, 3@1 3@1, 4@4 4@4, 5@4 5@4, 6@5 6@5, 7@5 7@5, 8@6 8@6, 9@6 9@6, 10@6 10@6, 11@8 noop
    n3@8 -> n1 AppendEntriesReply matched=11 r12
    n3@8 commits 0 => 11
    n3 applies 1@1 1@1, 2@1 2@1, 3@1 3@1, 4@4 4@4, 5@4 5@4, 6@5 6@5, 7@5 7@5, 8@6 8@6, 9@6 9@6, 10@6 10@6, 11@8 noop
    n4@8 -> n1 AppendEntriesReply matched=11 r13
    n4@8 commits 0 => 11
    n4 applies 1@1 1@1, 2@1 2@1, 3@1 3@1, 4@4 4@4, 5@4 5@4, 6@5 6@5, 7@5 7@5, 8@6 8@6, 9@6 9@6, 10@6 10@6, 11@8 noop
    n5@8 -> n1 AppendEntriesReply matched=11 r14
    n5@8 commits 0 => 11
    n5 applies 1@1 1@1, 2@1 2@1, 3@1 3@1, 4@4 4@4, 5@4 5@4, 6@5 6@5, 7@5 7@5, 8@6 8@6, 9@6 9@6, 10@6 10@6, 11@8 noop
    n6@8 -> n1 AppendEntriesReply matched=11 r15
    n6@8 commits 0 => 11
    n6 applies 1@1 1@1, 2@1 2@1, 3@1 3@1, 4@4 4@4, 5@4 5@4, 6@5 6@5, 7@5 7@5, 8@6 8@6, 9@6 9@6, 10@6 10@6, 11@8 noop
    n7@8 -> n1 AppendEntriesReply matched=11 r16
    n7@8 commits 0 => 11
    n7 applies 1@1 1@1, 2@1 2@1, 3@1 3@1, 4@4 4@4, 5@4 5@4, 6@5 6@5, 7@5 7@5, 8@6 8@6, 9@6 9@6, 10@6 10@6, 11@8 noop
show
    n1@8 leader, commit 11, applied 11, log 1 1 1 4 4 5 5 6 6 6 8
    n2@8 follower of n1, commit 11, applied 11, log 1 1 1 4 4 5 5 6 6 6 8
    n3@8 follower of n1, commit 11, applied 11, log 1 1 1 4 4 5 5 6 6 6 8
    n4@8 follower of n1, commit 11, applied 11, log 1 1 1 4 4 5 5 6 6 6 8
    n5@8 follower of n1, commit 11, applied 11, log 1 1 1 4 4 5 5 6 6 6 8
    n6@8 follower of n1, commit 11, applied 11, log 1 1 1 4 4 5 5 6 6 6 8
    n7@8 follower of n1, commit 11, applied 11, log 1 1 1 4 4 5 5 6 6 6 8
