# The ABA race: a follower's slow disk confirms a write that has been replaced
# since. That says nothing about the entry that now has the same index.
cluster 5
quietly elect n1
deadline n1
    n1@1 -> n2 AppendEntries prev=1@1 [] commit=1 r5
    n1@1 -> n3 AppendEntries prev=1@1 [] commit=1 r6
    n1@1 -> n4 AppendEntries prev=1@1 [] commit=1 r7
    n1@1 -> n5 AppendEntries prev=1@1 [] commit=1 r8
settle
    n2@1 -> n1 AppendEntriesReply matched=1 r5
    n2@1 commits 0 => 1
    n2 applies 1@1 noop
    n3@1 -> n1 AppendEntriesReply matched=1 r6
    n3@1 commits 0 => 1
    n3 applies 1@1 noop
    n4@1 -> n1 AppendEntriesReply matched=1 r7
    n4@1 commits 0 => 1
    n4 applies 1@1 noop
    n5@1 -> n1 AppendEntriesReply matched=1 r8
    n5@1 commits 0 => 1
    n5 applies 1@1 noop

# n2 takes an entry of n1's that nobody else gets; its disk is slow.
hold-disk n2
propose n1 x
    n1@1 writes w3 append [2@1]
    n1@1 proposal 1 appended at 2@1
    n1@1 -> n2 AppendEntries prev=1@1 [2@1] commit=1 r9
    n1@1 -> n3 AppendEntries prev=1@1 [2@1] commit=1 r10
    n1@1 -> n4 AppendEntries prev=1@1 [2@1] commit=1 r11
    n1@1 -> n5 AppendEntries prev=1@1 [2@1] commit=1 r12
deliver n1 -> n2
    n2@1 writes w3 append [2@1]
drop
partition n1 | n2 n3 n4 n5

# n3 wins term 2 without n2, and replaces that entry.
deadline n3
    n3@1 -x n1 PreVote term=2 last=1@1
    n3@1 -> n2 PreVote term=2 last=1@1
    n3@1 -> n4 PreVote term=2 last=1@1
    n3@1 -> n5 PreVote term=2 last=1@1
    n3@1 follower => candidate
settle
    n2@1 -> n3 PreVoteReply denied
    n4@1 -> n3 PreVoteReply term=2 granted
    n5@1 -> n3 PreVoteReply term=2 granted
    n3@2 writes w3 term=2 vote=n3
    n3@2 candidate => candidate (from term 1)
    n3@2 -x n1 RequestVote last=1@1
    n3@2 -> n2 RequestVote last=1@1
    n3@2 -> n4 RequestVote last=1@1
    n3@2 -> n5 RequestVote last=1@1
    n2@2 writes w4 term=2
    n2@2 follower => follower (from term 1)
    n4@2 writes w3 term=2 vote=n3
    n4@2 follower => follower (from term 1)
    n4@2 -> n3 RequestVoteReply granted
    n5@2 writes w3 term=2 vote=n3
    n5@2 follower => follower (from term 1)
    n5@2 -> n3 RequestVoteReply granted
    n3@2 writes w4 append [2@2]
    n3@2 candidate => leader, noop at 2
    n3@2 -x n1 AppendEntries prev=1@1 [2@2] commit=1 r1
    n3@2 -> n2 AppendEntries prev=1@1 [2@2] commit=1 r2
    n3@2 -> n4 AppendEntries prev=1@1 [2@2] commit=1 r3
    n3@2 -> n5 AppendEntries prev=1@1 [2@2] commit=1 r4
    n2@2 writes w5 replace [2@2]
    n2@2 follower => follower of n3
    n4@2 writes w4 append [2@2]
    n4@2 follower => follower of n3
    n4@2 -> n3 AppendEntriesReply matched=2 r3
    n5@2 writes w4 append [2@2]
    n5@2 follower => follower of n3
    n5@2 -> n3 AppendEntriesReply matched=2 r4
    n3@2 commits 1 => 2
    n3 applies 2@2 noop

# The disk confirms the first write: 2@1, which is not in the log any more.
persist n2 1
    n2 has durable w3
# Then the others, in order.
persist n2
    n2 has durable w5
    n2@2 -> n3 RequestVoteReply denied
    n2@2 -> n3 AppendEntriesReply matched=2 r2
settle
show
    n1@1 leader, commit 1, applied 1, log 1 1
    n2@2 follower of n3, commit 1, applied 1, log 1 2
    n3@2 leader, commit 2, applied 2, log 1 2
    n4@2 follower of n3, commit 1, applied 1, log 1 2
    n5@2 follower of n3, commit 1, applied 1, log 1 2
