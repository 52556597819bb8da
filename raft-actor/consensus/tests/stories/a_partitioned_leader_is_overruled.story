# A leader in the minority goes on accepting commands but commits none. The
# majority elects another; the old leader's entries are replaced (§5.3).
cluster 5
quietly elect n1
partition n1 n2 | n3 n4 n5
propose n1 lost
    n1@1 writes w3 append [2@1]
    n1@1 proposal 1 appended at 2@1
    n1@1 -> n2 AppendEntries prev=1@1 [2@1] commit=1 r5
    n1@1 -x n3 AppendEntries prev=1@1 [2@1] commit=1 r6
    n1@1 -x n4 AppendEntries prev=1@1 [2@1] commit=1 r7
    n1@1 -x n5 AppendEntries prev=1@1 [2@1] commit=1 r8
settle
    n2@1 writes w3 append [2@1]
    n2@1 commits 0 => 1
    n2@1 -> n1 AppendEntriesReply matched=2 r5
    n2 applies 1@1 noop

# The majority side. n3's deadline lies past the others' minimum election timeout.
deadline n3
    n3@1 -x n1 PreVote term=2 last=1@1
    n3@1 -x n2 PreVote term=2 last=1@1
    n3@1 -> n4 PreVote term=2 last=1@1
    n3@1 -> n5 PreVote term=2 last=1@1
    n3@1 follower => candidate
settle
    n4@1 -> n3 PreVoteReply term=2 granted
    n5@1 -> n3 PreVoteReply term=2 granted
    n3@2 writes w3 term=2 vote=n3
    n3@2 candidate => candidate (from term 1)
    n3@2 -x n1 RequestVote last=1@1
    n3@2 -x n2 RequestVote last=1@1
    n3@2 -> n4 RequestVote last=1@1
    n3@2 -> n5 RequestVote last=1@1
    n4@2 writes w3 term=2 vote=n3
    n4@2 follower => follower (from term 1)
    n4@2 -> n3 RequestVoteReply granted
    n5@2 writes w3 term=2 vote=n3
    n5@2 follower => follower (from term 1)
    n5@2 -> n3 RequestVoteReply granted
    n3@2 writes w4 append [2@2]
    n3@2 candidate => leader, noop at 2
    n3@2 -x n1 AppendEntries prev=1@1 [2@2] commit=0 r1
    n3@2 -x n2 AppendEntries prev=1@1 [2@2] commit=0 r2
    n3@2 -> n4 AppendEntries prev=1@1 [2@2] commit=0 r3
    n3@2 -> n5 AppendEntries prev=1@1 [2@2] commit=0 r4
    n4@2 writes w4 append [2@2]
    n4@2 follower => follower of n3
    n4@2 -> n3 AppendEntriesReply matched=2 r3
    n5@2 writes w4 append [2@2]
    n5@2 follower => follower of n3
    n5@2 -> n3 AppendEntriesReply matched=2 r4
    n3@2 commits 0 => 2
    n3 applies 1@1 noop, 2@2 noop
propose n3 kept
    n3@2 writes w5 append [3@2]
    n3@2 proposal 2 appended at 3@2
    n3@2 -> n4 AppendEntries prev=2@2 [3@2] commit=2 r5
    n3@2 -> n5 AppendEntries prev=2@2 [3@2] commit=2 r6
settle
    n4@2 writes w5 append [3@2]
    n4@2 commits 0 => 2
    n4@2 -> n3 AppendEntriesReply matched=3 r5
    n4 applies 1@1 noop, 2@2 noop
    n5@2 writes w5 append [3@2]
    n5@2 commits 0 => 2
    n5@2 -> n3 AppendEntriesReply matched=3 r6
    n5 applies 1@1 noop, 2@2 noop
    n3@2 commits 2 => 3
    n3 applies 3@2 kept
show
    n1@1 leader, commit 1, applied 1, log 1 1
    n2@1 follower of n1, commit 1, applied 1, log 1 1
    n3@2 leader, commit 3, applied 3, log 1 2 2
    n4@2 follower of n3, commit 2, applied 2, log 1 2 2
    n5@2 follower of n3, commit 2, applied 2, log 1 2 2

heal
deadline n3
    n3@2 -> n1 AppendEntries prev=0@0 [] commit=0 r7
    n3@2 -> n2 AppendEntries prev=0@0 [] commit=0 r8
    n3@2 -> n4 AppendEntries prev=3@2 [] commit=3 r9
    n3@2 -> n5 AppendEntries prev=3@2 [] commit=3 r10
settle
    n1@2 writes w4 term=2
    n1@2 leader => follower of n3 (from term 1)
    n1@2 -> n3 AppendEntriesReply matched=1 r7
    n2@2 writes w4 term=2
    n2@2 follower => follower of n3 (from term 1)
    n2@2 -> n3 AppendEntriesReply matched=1 r8
    n4@2 -> n3 AppendEntriesReply matched=3 r9
    n4@2 commits 2 => 3
    n4 applies 3@2 kept
    n5@2 -> n3 AppendEntriesReply matched=3 r10
    n5@2 commits 2 => 3
    n5 applies 3@2 kept
    n3@2 -> n1 AppendEntries prev=2@2 [] commit=2 r11
    n3@2 -> n1 AppendEntries prev=2@2 [3@2] commit=3 r12
    n3@2 -> n2 AppendEntries prev=2@2 [] commit=2 r13
    n3@2 -> n2 AppendEntries prev=2@2 [3@2] commit=3 r14
    n1@2 -> n3 AppendEntriesReply conflict at=2 hint=1@1 r11
    n1@2 -> n3 AppendEntriesReply conflict at=2 hint=1@1 r12
    n2@2 -> n3 AppendEntriesReply conflict at=2 hint=1@1 r13
    n2@2 -> n3 AppendEntriesReply conflict at=2 hint=1@1 r14
    n3@2 -> n1 AppendEntries prev=1@1 [2@2 3@2] commit=3 r15
    n3@2 -> n2 AppendEntries prev=1@1 [2@2 3@2] commit=3 r16
    n1@2 writes w5 replace [2@2 3@2]
    n1@2 commits 1 => 3
    n1@2 -> n3 AppendEntriesReply matched=3 r15
    n1 applies 2@2 noop, 3@2 kept
    n2@2 writes w5 replace [2@2 3@2]
    n2@2 commits 1 => 3
    n2@2 -> n3 AppendEntriesReply matched=3 r16
    n2 applies 2@2 noop, 3@2 kept
show
    n1@2 follower of n3, commit 3, applied 3, log 1 2 2
    n2@2 follower of n3, commit 3, applied 3, log 1 2 2
    n3@2 leader, commit 3, applied 3, log 1 2 2
    n4@2 follower of n3, commit 3, applied 3, log 1 2 2
    n5@2 follower of n3, commit 3, applied 3, log 1 2 2
