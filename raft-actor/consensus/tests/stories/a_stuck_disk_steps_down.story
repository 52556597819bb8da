# A leader whose disk does not confirm a write for long enough steps down,
# although its heartbeats arrive. Until the disk answers it neither campaigns
# nor votes.
cluster 3
settings storage_stall_ms_max=1500 heartbeat_ms=500
quietly elect n1
settle

hold-disk n1
propose n1 x
    n1@1 writes w3 append [2@1]
    n1@1 proposal 1 appended at 2@1
    n1@1 -> n2 AppendEntries prev=1@1 [2@1] commit=1 r3
    n1@1 -> n3 AppendEntries prev=1@1 [2@1] commit=1 r4
settle
    n2@1 writes w3 append [2@1]
    n2@1 commits 0 => 1
    n2@1 -> n1 AppendEntriesReply matched=2 r3
    n2 applies 1@1 noop
    n3@1 writes w3 append [2@1]
    n3@1 commits 0 => 1
    n3@1 -> n1 AppendEntriesReply matched=2 r4
    n3 applies 1@1 noop
    n1@1 commits 1 => 2
run 1000ms
    n1@1 -> n2 AppendEntries prev=2@1 [] commit=2 r5
    n1@1 -> n3 AppendEntries prev=2@1 [] commit=2 r6
    n2@1 -> n1 AppendEntriesReply matched=2 r5
    n2@1 commits 1 => 2
    n2 applies 2@1 x
    n3@1 -> n1 AppendEntriesReply matched=2 r6
    n3@1 commits 1 => 2
    n3 applies 2@1 x
    n1@1 -> n2 AppendEntries prev=2@1 [] commit=2 r7
    n1@1 -> n3 AppendEntries prev=2@1 [] commit=2 r8
    n2@1 -> n1 AppendEntriesReply matched=2 r7
    n3@1 -> n1 AppendEntriesReply matched=2 r8
show
    n1@1 leader, commit 2, applied 1, log 1 1
    n2@1 follower of n1, commit 2, applied 2, log 1 1
    n3@1 follower of n1, commit 2, applied 2, log 1 1
run 600ms
    n1@1 leader => follower
show
    n1@1 follower, commit 2, applied 1, log 1 1
    n2@1 follower of n1, commit 2, applied 2, log 1 1
    n3@1 follower of n1, commit 2, applied 2, log 1 1

# A follower takes over. The stuck one grants nothing.
deadline n2
    n2@1 -> n1 PreVote term=2 last=2@1
    n2@1 -> n3 PreVote term=2 last=2@1
    n2@1 follower => candidate
settle
    n1@1 -> n2 PreVoteReply denied
    n3@1 -> n2 PreVoteReply term=2 granted
    n2@2 writes w4 term=2 vote=n2
    n2@2 candidate => candidate (from term 1)
    n2@2 -> n1 RequestVote last=2@1
    n2@2 -> n3 RequestVote last=2@1
    n1@2 writes w4 term=2
    n1@2 follower => follower (from term 1)
    n3@2 writes w4 term=2 vote=n2
    n3@2 follower => follower (from term 1)
    n3@2 -> n2 RequestVoteReply granted
    n2@2 writes w5 append [3@2]
    n2@2 candidate => leader, noop at 3
    n2@2 -> n1 AppendEntries prev=2@1 [3@2] commit=2 r1
    n2@2 -> n3 AppendEntries prev=2@1 [3@2] commit=2 r2
    n1@2 writes w5 append [3@2]
    n1@2 follower => follower of n2
    n3@2 writes w5 append [3@2]
    n3@2 follower => follower of n2
    n3@2 -> n2 AppendEntriesReply matched=3 r2
    n2@2 commits 2 => 3
    n2 applies 3@2 noop
show
    n1@2 follower of n2, commit 2, applied 1, log 1 1 2
    n2@2 leader, commit 3, applied 3, log 1 1 2
    n3@2 follower of n2, commit 2, applied 2, log 1 1 2

free-disk n1
    n1@2 -> n2 RequestVoteReply denied
    n1@2 -> n2 AppendEntriesReply matched=3 r1
    n1 applies 2@1 x
settle
run 500ms
    n2@2 -> n1 AppendEntries prev=3@2 [] commit=3 r3
    n2@2 -> n3 AppendEntries prev=3@2 [] commit=3 r4
    n1@2 -> n2 AppendEntriesReply matched=3 r3
    n1@2 commits 2 => 3
    n1 applies 3@2 noop
    n3@2 -> n2 AppendEntriesReply matched=3 r4
    n3@2 commits 2 => 3
    n3 applies 3@2 noop
show
    n1@2 follower of n2, commit 3, applied 3, log 1 1 2
    n2@2 leader, commit 3, applied 3, log 1 1 2
    n3@2 follower of n2, commit 3, applied 3, log 1 1 2
