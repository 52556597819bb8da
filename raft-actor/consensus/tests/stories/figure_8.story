# Figure 8: why a leader does not commit entries of older terms by counting
# (§5.4.2). One entry per message, one message at a time.
cluster 5
settings append_batch_bytes_max=1 inflight_appends_max=1
log n1 1
log n2 1
log n3 1
log n4 1
log n5 1

# (a) n1 leads term 2 and replicates its entry at index 2 to n2 only.
deadline n1
    n1@1 -> n2 PreVote term=2 last=1@1
    n1@1 -> n3 PreVote term=2 last=1@1
    n1@1 -> n4 PreVote term=2 last=1@1
    n1@1 -> n5 PreVote term=2 last=1@1
    n1@1 follower => candidate
deliver
    n2@1 -> n1 PreVoteReply term=2 granted
    n3@1 -> n1 PreVoteReply term=2 granted
    n4@1 -> n1 PreVoteReply term=2 granted
    n5@1 -> n1 PreVoteReply term=2 granted
deliver
    n1@2 writes w1 term=2 vote=n1
    n1@2 candidate => candidate (from term 1)
    n1@2 -> n2 RequestVote last=1@1
    n1@2 -> n3 RequestVote last=1@1
    n1@2 -> n4 RequestVote last=1@1
    n1@2 -> n5 RequestVote last=1@1
deliver
    n2@2 writes w1 term=2 vote=n1
    n2@2 follower => follower (from term 1)
    n2@2 -> n1 RequestVoteReply granted
    n3@2 writes w1 term=2 vote=n1
    n3@2 follower => follower (from term 1)
    n3@2 -> n1 RequestVoteReply granted
    n4@2 writes w1 term=2 vote=n1
    n4@2 follower => follower (from term 1)
    n4@2 -> n1 RequestVoteReply granted
    n5@2 writes w1 term=2 vote=n1
    n5@2 follower => follower (from term 1)
    n5@2 -> n1 RequestVoteReply granted
deliver
    n1@2 writes w2 append [2@2]
    n1@2 candidate => leader, noop at 2
    n1@2 -> n2 AppendEntries prev=1@1 [2@2] commit=0 r1
    n1@2 -> n3 AppendEntries prev=1@1 [2@2] commit=0 r2
    n1@2 -> n4 AppendEntries prev=1@1 [2@2] commit=0 r3
    n1@2 -> n5 AppendEntries prev=1@1 [2@2] commit=0 r4
deliver n1 -> n2
    n2@2 writes w2 append [2@2]
    n2@2 follower => follower of n1
    n2@2 -> n1 AppendEntriesReply matched=2 r1
drop
crash n1

# (b) n5 wins term 3 with the votes of n3 and n4 and has another entry at index 2.
deadline n5
    n5@2 -> n1 PreVote term=3 last=1@1
    n5@2 -> n2 PreVote term=3 last=1@1
    n5@2 -> n3 PreVote term=3 last=1@1
    n5@2 -> n4 PreVote term=3 last=1@1
    n5@2 follower => candidate
deliver
    n2@2 -> n5 PreVoteReply denied
    n3@2 -> n5 PreVoteReply term=3 granted
    n4@2 -> n5 PreVoteReply term=3 granted
deliver
    n5@3 writes w2 term=3 vote=n5
    n5@3 candidate => candidate (from term 2)
    n5@3 -> n1 RequestVote last=1@1
    n5@3 -> n2 RequestVote last=1@1
    n5@3 -> n3 RequestVote last=1@1
    n5@3 -> n4 RequestVote last=1@1
deliver
    n2@3 writes w3 term=3
    n2@3 follower => follower (from term 2)
    n2@3 -> n5 RequestVoteReply denied
    n3@3 writes w2 term=3 vote=n5
    n3@3 follower => follower (from term 2)
    n3@3 -> n5 RequestVoteReply granted
    n4@3 writes w2 term=3 vote=n5
    n4@3 follower => follower (from term 2)
    n4@3 -> n5 RequestVoteReply granted
deliver
    n5@3 writes w3 append [2@3]
    n5@3 candidate => leader, noop at 2
    n5@3 -> n1 AppendEntries prev=1@1 [2@3] commit=0 r1
    n5@3 -> n2 AppendEntries prev=1@1 [2@3] commit=0 r2
    n5@3 -> n3 AppendEntries prev=1@1 [2@3] commit=0 r3
    n5@3 -> n4 AppendEntries prev=1@1 [2@3] commit=0 r4
drop
crash n5

# (c) n1 restarts. It hears of term 3 first, then wins term 4 ...
restart n1
deadline n1
    n1@2 -> n2 PreVote term=3 last=2@2
    n1@2 -> n3 PreVote term=3 last=2@2
    n1@2 -> n4 PreVote term=3 last=2@2
    n1@2 -> n5 PreVote term=3 last=2@2
    n1@2 follower => candidate
settle
    n2@3 -> n1 PreVoteReply denied
    n3@3 -> n1 PreVoteReply denied
    n4@3 -> n1 PreVoteReply denied
    n1@3 writes w1 term=3
    n1@3 candidate => follower (from term 2)
deadline n1
    n1@3 -> n2 PreVote term=4 last=2@2
    n1@3 -> n3 PreVote term=4 last=2@2
    n1@3 -> n4 PreVote term=4 last=2@2
    n1@3 -> n5 PreVote term=4 last=2@2
    n1@3 follower => candidate
deliver
    n2@3 -> n1 PreVoteReply term=4 granted
    n3@3 -> n1 PreVoteReply term=4 granted
    n4@3 -> n1 PreVoteReply term=4 granted
deliver
    n1@4 writes w2 term=4 vote=n1
    n1@4 candidate => candidate (from term 3)
    n1@4 -> n2 RequestVote last=2@2
    n1@4 -> n3 RequestVote last=2@2
    n1@4 -> n4 RequestVote last=2@2
    n1@4 -> n5 RequestVote last=2@2
deliver
    n2@4 writes w4 term=4 vote=n1
    n2@4 follower => follower (from term 3)
    n2@4 -> n1 RequestVoteReply granted
    n3@4 writes w3 term=4 vote=n1
    n3@4 follower => follower (from term 3)
    n3@4 -> n1 RequestVoteReply granted
    n4@4 writes w3 term=4 vote=n1
    n4@4 follower => follower (from term 3)
    n4@4 -> n1 RequestVoteReply granted
deliver
    n1@4 writes w3 append [3@4]
    n1@4 candidate => leader, noop at 3
    n1@4 -> n2 AppendEntries prev=2@2 [3@4] commit=0 r1
    n1@4 -> n3 AppendEntries prev=2@2 [3@4] commit=0 r2
    n1@4 -> n4 AppendEntries prev=2@2 [3@4] commit=0 r3
    n1@4 -> n5 AppendEntries prev=2@2 [3@4] commit=0 r4
# ... and replicates 2@2 to n3. Now it is on a majority: n1, n2, n3. It does not commit.
deliver n1 -> n3
    n3@4 -> n1 AppendEntriesReply conflict at=2 hint=1@1 r2
    n3@4 follower => follower of n1
deliver n3 -> n1
    n1@4 -> n3 AppendEntries prev=1@1 [2@2] commit=0 r5
deliver n1 -> n3
    n3@4 writes w4 append [2@2]
    n3@4 -> n1 AppendEntriesReply matched=2 r5
deliver n3 -> n1
    n1@4 -> n3 AppendEntries prev=2@2 [3@4] commit=0 r6
deliver n1 -> n2
    n2@4 writes w5 append [3@4]
    n2@4 follower => follower of n1
    n2@4 -> n1 AppendEntriesReply matched=3 r1
deliver n2 -> n1
drop
show
    n1@4 leader, commit 0, applied 0, log 1 2 4
    n2@4 follower of n1, commit 0, applied 0, log 1 2 4
    n3@4 follower of n1, commit 0, applied 0, log 1 2
    n4@4 follower, commit 0, applied 0, log 1
    n5 is down, log 1 3
crash n1

# (d) n5 restarts and wins with the votes of n3 and n4: 2@2 is overwritten everywhere.
restart n5
deadline n5
    n5@3 -> n1 PreVote term=4 last=2@3
    n5@3 -> n2 PreVote term=4 last=2@3
    n5@3 -> n3 PreVote term=4 last=2@3
    n5@3 -> n4 PreVote term=4 last=2@3
    n5@3 follower => candidate
settle
    n2@4 -> n5 PreVoteReply denied
    n3@4 -> n5 PreVoteReply denied
    n4@4 -> n5 PreVoteReply denied
    n5@4 writes w1 term=4
    n5@4 candidate => follower (from term 3)
deadline n5
    n5@4 -> n1 PreVote term=5 last=2@3
    n5@4 -> n2 PreVote term=5 last=2@3
    n5@4 -> n3 PreVote term=5 last=2@3
    n5@4 -> n4 PreVote term=5 last=2@3
    n5@4 follower => candidate
settle
    n2@4 -> n5 PreVoteReply denied
    n3@4 -> n5 PreVoteReply term=5 granted
    n4@4 -> n5 PreVoteReply term=5 granted
    n5@5 writes w2 term=5 vote=n5
    n5@5 candidate => candidate (from term 4)
    n5@5 -> n1 RequestVote last=2@3
    n5@5 -> n2 RequestVote last=2@3
    n5@5 -> n3 RequestVote last=2@3
    n5@5 -> n4 RequestVote last=2@3
    n2@5 writes w6 term=5
    n2@5 follower => follower (from term 4)
    n2@5 -> n5 RequestVoteReply denied
    n3@5 writes w5 term=5 vote=n5
    n3@5 follower => follower (from term 4)
    n3@5 -> n5 RequestVoteReply granted
    n4@5 writes w4 term=5 vote=n5
    n4@5 follower => follower (from term 4)
    n4@5 -> n5 RequestVoteReply granted
    n5@5 writes w3 append [3@5]
    n5@5 candidate => leader, noop at 3
    n5@5 -> n1 AppendEntries prev=2@3 [3@5] commit=0 r1
    n5@5 -> n2 AppendEntries prev=2@3 [3@5] commit=0 r2
    n5@5 -> n3 AppendEntries prev=2@3 [3@5] commit=0 r3
    n5@5 -> n4 AppendEntries prev=2@3 [3@5] commit=0 r4
    n2@5 -> n5 AppendEntriesReply conflict at=2 hint=1@1 r2
    n2@5 follower => follower of n5
    n3@5 -> n5 AppendEntriesReply conflict at=2 hint=1@1 r3
    n3@5 follower => follower of n5
    n4@5 -> n5 AppendEntriesReply conflict at=2 hint=1@1 r4
    n4@5 follower => follower of n5
    n5@5 -> n2 AppendEntries prev=1@1 [2@3] commit=0 r5
    n5@5 -> n3 AppendEntries prev=1@1 [2@3] commit=0 r6
    n5@5 -> n4 AppendEntries prev=1@1 [2@3] commit=0 r7
    n2@5 writes w7 replace [2@3]
    n2@5 -> n5 AppendEntriesReply matched=2 r5
    n3@5 writes w6 replace [2@3]
    n3@5 -> n5 AppendEntriesReply matched=2 r6
    n4@5 writes w5 append [2@3]
    n4@5 -> n5 AppendEntriesReply matched=2 r7
    n5@5 -> n2 AppendEntries prev=2@3 [3@5] commit=0 r8
    n5@5 -> n3 AppendEntries prev=2@3 [3@5] commit=0 r9
    n5@5 -> n4 AppendEntries prev=2@3 [3@5] commit=0 r10
    n2@5 writes w8 append [3@5]
    n2@5 -> n5 AppendEntriesReply matched=3 r8
    n3@5 writes w7 append [3@5]
    n3@5 -> n5 AppendEntriesReply matched=3 r9
    n4@5 writes w6 append [3@5]
    n4@5 -> n5 AppendEntriesReply matched=3 r10
    n5@5 commits 0 => 3
    n5 applies 1@1 1@1, 2@3 noop, 3@5 noop
restart n1
run 200ms
    n5@5 -> n1 AppendEntries prev=0@0 [] commit=0 r11
    n5@5 -> n2 AppendEntries prev=3@5 [] commit=3 r12
    n5@5 -> n3 AppendEntries prev=3@5 [] commit=3 r13
    n5@5 -> n4 AppendEntries prev=3@5 [] commit=3 r14
    n1@5 writes w1 term=5
    n1@5 follower => follower of n5 (from term 4)
    n1@5 -> n5 AppendEntriesReply matched=0 r11
    n2@5 -> n5 AppendEntriesReply matched=3 r12
    n2@5 commits 0 => 3
    n2 applies 1@1 1@1, 2@3 noop, 3@5 noop
    n3@5 -> n5 AppendEntriesReply matched=3 r13
    n3@5 commits 0 => 3
    n3 applies 1@1 1@1, 2@3 noop, 3@5 noop
    n4@5 -> n5 AppendEntriesReply matched=3 r14
    n4@5 commits 0 => 3
    n4 applies 1@1 1@1, 2@3 noop, 3@5 noop
    n5@5 -> n1 AppendEntries prev=3@5 [] commit=3 r15
    n1@5 -> n5 AppendEntriesReply conflict at=3 hint=2@2 r15
    n5@5 -> n1 AppendEntries prev=1@1 [2@3] commit=3 r16
    n1@5 writes w2 replace [2@3]
    n1@5 commits 0 => 2
    n1@5 -> n5 AppendEntriesReply matched=2 r16
    n1 applies 1@1 1@1
    n1 applies 2@3 noop
    n5@5 -> n1 AppendEntries prev=2@3 [3@5] commit=3 r17
    n1@5 writes w3 append [3@5]
    n1@5 commits 2 => 3
    n1@5 -> n5 AppendEntriesReply matched=3 r17
    n1 applies 3@5 noop
    n5@5 -> n1 AppendEntries prev=3@5 [] commit=3 r18
    n5@5 -> n2 AppendEntries prev=3@5 [] commit=3 r19
    n5@5 -> n3 AppendEntries prev=3@5 [] commit=3 r20
    n5@5 -> n4 AppendEntries prev=3@5 [] commit=3 r21
    n1@5 -> n5 AppendEntriesReply matched=3 r18
    n2@5 -> n5 AppendEntriesReply matched=3 r19
    n3@5 -> n5 AppendEntriesReply matched=3 r20
    n4@5 -> n5 AppendEntriesReply matched=3 r21
show
    n1@5 follower of n5, commit 3, applied 3, log 1 3 5
    n2@5 follower of n5, commit 3, applied 3, log 1 3 5
    n3@5 follower of n5, commit 3, applied 3, log 1 3 5
    n4@5 follower of n5, commit 3, applied 3, log 1 3 5
    n5@5 leader, commit 3, applied 3, log 1 3 5
