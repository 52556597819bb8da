# A linearizable read is confirmed by a round of AppendEntries sent after it
# arrived, and never before the leader's own no-op is committed (§8,
# dissertation 6.4).
cluster 3
quietly elect n1
settle
read n1
    n1@1 -> n2 AppendEntries prev=1@1 [] commit=1 r3
    n1@1 -> n3 AppendEntries prev=1@1 [] commit=1 r4
settle
    n2@1 -> n1 AppendEntriesReply matched=1 r3
    n2@1 commits 0 => 1
    n2 applies 1@1 noop
    n3@1 -> n1 AppendEntriesReply matched=1 r4
    n3@1 commits 0 => 1
    n3 applies 1@1 noop
    n1@1 read 1 may be served at 1

# A read at a leader that is being cut off is never confirmed.
partition n1 | n2 n3
read n1
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r5
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r6

# The other two elect n2. A read before its no-op is committed has to wait.
deadline n2
    n2@1 -x n1 PreVote term=2 last=1@1
    n2@1 -> n3 PreVote term=2 last=1@1
    n2@1 follower => candidate
deliver
    n3@1 -> n2 PreVoteReply term=2 granted
deliver
    n2@2 writes w3 term=2 vote=n2
    n2@2 candidate => candidate (from term 1)
    n2@2 -x n1 RequestVote last=1@1
    n2@2 -> n3 RequestVote last=1@1
deliver
    n3@2 writes w3 term=2 vote=n2
    n3@2 follower => follower (from term 1)
    n3@2 -> n2 RequestVoteReply granted
deliver
    n2@2 writes w4 append [2@2]
    n2@2 candidate => leader, noop at 2
    n2@2 -x n1 AppendEntries prev=1@1 [2@2] commit=1 r1
    n2@2 -> n3 AppendEntries prev=1@1 [2@2] commit=1 r2
read n2
    n2@2 -x n1 AppendEntries prev=0@0 [] commit=0 r3
    n2@2 -> n3 AppendEntries prev=0@0 [] commit=0 r4
settle
    n3@2 writes w4 append [2@2]
    n3@2 follower => follower of n2
    n3@2 -> n2 AppendEntriesReply matched=2 r2
    n3@2 -> n2 AppendEntriesReply matched=2 r4
    n2@2 commits 1 => 2
    n2 applies 2@2 noop
    n2@2 read 3 may be served at 2

# The old leader hears of the new one and refuses what waited with it.
heal
deadline n2
    n2@2 -> n1 AppendEntries prev=0@0 [] commit=0 r5
    n2@2 -> n3 AppendEntries prev=2@2 [] commit=2 r6
settle
    n1@2 read 2 refused, leader unknown
    n1@2 writes w3 term=2
    n1@2 leader => follower of n2 (from term 1)
    n1@2 -> n2 AppendEntriesReply matched=1 r5
    n3@2 -> n2 AppendEntriesReply matched=2 r6
    n3@2 commits 1 => 2
    n3 applies 2@2 noop
    n2@2 -> n1 AppendEntries prev=2@2 [] commit=2 r7
    n1@2 -> n2 AppendEntriesReply conflict at=2 hint=1@1 r7
    n2@2 -> n1 AppendEntries prev=1@1 [2@2] commit=2 r8
    n1@2 writes w4 append [2@2]
    n1@2 commits 1 => 2
    n1@2 -> n2 AppendEntriesReply matched=2 r8
    n1 applies 2@2 noop
read n3
    n3@2 read 4 refused, leader n2
