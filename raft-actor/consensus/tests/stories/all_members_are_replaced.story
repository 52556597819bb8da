# Disjoint replacement (§6): n1, n2 and n3 hand over to n4, n5 and n6, which know nothing yet.
cluster 3
joining n4 n5 n6
quietly elect n1
quietly propose n1 x y
quietly settle

# First they are learners, with the wish to vote: a majority must not depend on
# servers that have nothing of the log (dissertation 4.2.1).
change n1 n4,n5,n6
    n1@1 writes w4 append [4@1]
    n1@1 change 2 appended at 4@1
    n1@1 -> n2 AppendEntries prev=3@1 [4@1] commit=3 r5
    n1@1 -> n3 AppendEntries prev=3@1 [4@1] commit=3 r6
    n1@1 -> n4 AppendEntries prev=3@1 [4@1] commit=3 r7
    n1@1 -> n5 AppendEntries prev=3@1 [4@1] commit=3 r8
    n1@1 -> n6 AppendEntries prev=3@1 [4@1] commit=3 r9
configurations
    n1@1 counts the voters n1 n2 n3 +n4 +n5 +n6 => n4 n5 n6
    n2@1 counts the voters n1 n2 n3
    n3@1 counts the voters n1 n2 n3
    n4@0 counts the voters nobody
    n5@0 counts the voters nobody
    n6@0 counts the voters nobody

# The leader goes on by itself: they catch up; old and new voters together; the new ones alone.
settle
    n2@1 writes w4 append [4@1]
    n2@1 commits 1 => 3
    n2@1 -> n1 AppendEntriesReply matched=4 r5
    n2 applies 2@1 x, 3@1 y
    n3@1 writes w4 append [4@1]
    n3@1 commits 1 => 3
    n3@1 -> n1 AppendEntriesReply matched=4 r6
    n3 applies 2@1 x, 3@1 y
    n4@1 writes w1 term=1
    n4@1 learner => learner of n1 (from term 0)
    n4@1 -> n1 AppendEntriesReply conflict at=3 hint=0@0 r7
    n5@1 writes w1 term=1
    n5@1 learner => learner of n1 (from term 0)
    n5@1 -> n1 AppendEntriesReply conflict at=3 hint=0@0 r8
    n6@1 writes w1 term=1
    n6@1 learner => learner of n1 (from term 0)
    n6@1 -> n1 AppendEntriesReply conflict at=3 hint=0@0 r9
    n1@1 commits 3 => 4
    n1 applies 4@1 voters n1,n2,n3 +n4 +n5 +n6 => n4,n5,n6
    n1@1 -> n4 AppendEntries prev=0@0 [1@1..4@1] commit=4 r10
    n1@1 -> n5 AppendEntries prev=0@0 [1@1..4@1] commit=4 r11
    n1@1 -> n6 AppendEntries prev=0@0 [1@1..4@1] commit=4 r12
    n4@1 writes w2 append [1@1..4@1]
    n4@1 commits 0 => 4
    n4@1 -> n1 AppendEntriesReply matched=4 r10
    n4 applies 1@1 noop, 2@1 x, 3@1 y, 4@1 voters n1,n2,n3 +n4 +n5 +n6 => n4,n5,n6
    n5@1 writes w2 append [1@1..4@1]
    n5@1 commits 0 => 4
    n5@1 -> n1 AppendEntriesReply matched=4 r11
    n5 applies 1@1 noop, 2@1 x, 3@1 y, 4@1 voters n1,n2,n3 +n4 +n5 +n6 => n4,n5,n6
    n6@1 writes w2 append [1@1..4@1]
    n6@1 commits 0 => 4
    n6@1 -> n1 AppendEntriesReply matched=4 r12
    n6 applies 1@1 noop, 2@1 x, 3@1 y, 4@1 voters n1,n2,n3 +n4 +n5 +n6 => n4,n5,n6
    n1@1 writes w5 append [5@1]
    n1@1 -> n2 AppendEntries prev=4@1 [5@1] commit=4 r13
    n1@1 -> n3 AppendEntries prev=4@1 [5@1] commit=4 r14
    n1@1 -> n4 AppendEntries prev=4@1 [5@1] commit=4 r15
    n1@1 -> n5 AppendEntries prev=4@1 [5@1] commit=4 r16
    n1@1 -> n6 AppendEntries prev=4@1 [5@1] commit=4 r17
    n2@1 writes w5 append [5@1]
    n2@1 commits 3 => 4
    n2@1 -> n1 AppendEntriesReply matched=5 r13
    n2 applies 4@1 voters n1,n2,n3 +n4 +n5 +n6 => n4,n5,n6
    n3@1 writes w5 append [5@1]
    n3@1 commits 3 => 4
    n3@1 -> n1 AppendEntriesReply matched=5 r14
    n3 applies 4@1 voters n1,n2,n3 +n4 +n5 +n6 => n4,n5,n6
    n4@1 writes w3 append [5@1]
    n4@1 learner => follower of n1
    n4@1 -> n1 AppendEntriesReply matched=5 r15
    n5@1 writes w3 append [5@1]
    n5@1 learner => follower of n1
    n5@1 -> n1 AppendEntriesReply matched=5 r16
    n6@1 writes w3 append [5@1]
    n6@1 learner => follower of n1
    n6@1 -> n1 AppendEntriesReply matched=5 r17
    n1@1 writes w6 append [6@1]
    n1@1 commits 4 => 5
    n1@1 -> n4 AppendEntries prev=5@1 [6@1] commit=5 r18
    n1@1 -> n5 AppendEntries prev=5@1 [6@1] commit=5 r19
    n1@1 -> n6 AppendEntries prev=5@1 [6@1] commit=5 r20
    n1@1 -> n2 AppendEntries prev=5@1 [6@1] commit=5 r21
    n1@1 -> n3 AppendEntries prev=5@1 [6@1] commit=5 r22
    n1 applies 5@1 voters n4,n5,n6|n1,n2,n3
    n4@1 writes w4 append [6@1]
    n4@1 commits 4 => 5
    n4@1 -> n1 AppendEntriesReply matched=6 r18
    n4 applies 5@1 voters n4,n5,n6|n1,n2,n3
    n5@1 writes w4 append [6@1]
    n5@1 commits 4 => 5
    n5@1 -> n1 AppendEntriesReply matched=6 r19
    n5 applies 5@1 voters n4,n5,n6|n1,n2,n3
    n6@1 writes w4 append [6@1]
    n6@1 commits 4 => 5
    n6@1 -> n1 AppendEntriesReply matched=6 r20
    n6 applies 5@1 voters n4,n5,n6|n1,n2,n3
    n2@1 writes w6 append [6@1]
    n2@1 commits 4 => 5
    n2@1 follower => learner of n1
    n2@1 -> n1 AppendEntriesReply matched=6 r21
    n2 applies 5@1 voters n4,n5,n6|n1,n2,n3
    n3@1 writes w6 append [6@1]
    n3@1 commits 4 => 5
    n3@1 follower => learner of n1
    n3@1 -> n1 AppendEntriesReply matched=6 r22
    n3 applies 5@1 voters n4,n5,n6|n1,n2,n3
    n1@1 -> n2 AppendEntries prev=6@1 [] commit=6 r23
    n1@1 -> n3 AppendEntries prev=6@1 [] commit=6 r24
    n1@1 -> n4 AppendEntries prev=6@1 [] commit=6 r25
    n1@1 -> n5 AppendEntries prev=6@1 [] commit=6 r26
    n1@1 -> n6 AppendEntries prev=5@1 [] commit=5 r27
    n1@1 -> n2 AppendEntries prev=6@1 [] commit=6 r28
    n1@1 -> n3 AppendEntries prev=6@1 [] commit=6 r29
    n1@1 commits 5 => 6
    n1@1 leader => learner
    n1 applies 6@1 voters n4,n5,n6
    n2@1 -> n1 AppendEntriesReply matched=6 r23
    n2@1 commits 5 => 6
    n2 applies 6@1 voters n4,n5,n6
    n3@1 -> n1 AppendEntriesReply matched=6 r24
    n3@1 commits 5 => 6
    n3 applies 6@1 voters n4,n5,n6
    n4@1 -> n1 AppendEntriesReply matched=6 r25
    n4@1 commits 5 => 6
    n4 applies 6@1 voters n4,n5,n6
    n5@1 -> n1 AppendEntriesReply matched=6 r26
    n5@1 commits 5 => 6
    n5 applies 6@1 voters n4,n5,n6
    n6@1 -> n1 AppendEntriesReply matched=6 r27
    n2@1 -> n1 AppendEntriesReply matched=6 r28
    n3@1 -> n1 AppendEntriesReply matched=6 r29
configurations
    n1@1 counts the voters n4 n5 n6
    n2@1 counts the voters n4 n5 n6
    n3@1 counts the voters n4 n5 n6
    n4@1 counts the voters n4 n5 n6
    n5@1 counts the voters n4 n5 n6
    n6@1 counts the voters n4 n5 n6

# The leader was not among them and has stepped down. One of the new ones leads on.
elect n5
    n5@1 -> n4 PreVote term=2 last=6@1
    n5@1 -> n6 PreVote term=2 last=6@1
    n5@1 follower => candidate
    n4@1 -> n5 PreVoteReply term=2 granted
    n6@1 -> n5 PreVoteReply term=2 granted
    n5@2 writes w5 term=2 vote=n5
    n5@2 candidate => candidate (from term 1)
    n5@2 -> n4 RequestVote last=6@1
    n5@2 -> n6 RequestVote last=6@1
    n4@2 writes w5 term=2 vote=n5
    n4@2 follower => follower (from term 1)
    n4@2 -> n5 RequestVoteReply granted
    n6@2 writes w5 term=2 vote=n5
    n6@2 follower => follower (from term 1)
    n6@2 -> n5 RequestVoteReply granted
    n5@2 writes w6 append [7@2]
    n5@2 candidate => leader, noop at 7
    n5@2 -> n4 AppendEntries prev=6@1 [7@2] commit=6 r1
    n5@2 -> n6 AppendEntries prev=6@1 [7@2] commit=6 r2
    n4@2 writes w6 append [7@2]
    n4@2 follower => follower of n5
    n4@2 -> n5 AppendEntriesReply matched=7 r1
    n6@2 writes w6 append [7@2]
    n6@2 commits 5 => 6
    n6@2 follower => follower of n5
    n6@2 -> n5 AppendEntriesReply matched=7 r2
    n6 applies 6@1 voters n4,n5,n6
    n5@2 commits 6 => 7
    n5 applies 7@2 noop
propose n5 z
    n5@2 writes w7 append [8@2]
    n5@2 proposal 3 appended at 8@2
    n5@2 -> n4 AppendEntries prev=7@2 [8@2] commit=7 r3
    n5@2 -> n6 AppendEntries prev=7@2 [8@2] commit=7 r4
settle
    n4@2 writes w7 append [8@2]
    n4@2 commits 6 => 7
    n4@2 -> n5 AppendEntriesReply matched=8 r3
    n4 applies 7@2 noop
    n6@2 writes w7 append [8@2]
    n6@2 commits 6 => 7
    n6@2 -> n5 AppendEntriesReply matched=8 r4
    n6 applies 7@2 noop
    n5@2 commits 7 => 8
    n5 applies 8@2 z
show
    n1@1 learner, commit 6, applied 6, log 1 1 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3 1:voters n4,n5,n6
    n2@1 learner of n1, commit 6, applied 6, log 1 1 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3 1:voters n4,n5,n6
    n3@1 learner of n1, commit 6, applied 6, log 1 1 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3 1:voters n4,n5,n6
    n4@2 follower of n5, commit 7, applied 7, log 1 1 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3 1:voters n4,n5,n6 2 2
    n5@2 leader, commit 8, applied 8, log 1 1 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3 1:voters n4,n5,n6 2 2
    n6@2 follower of n5, commit 7, applied 7, log 1 1 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3 1:voters n4,n5,n6 2 2
