# A server that was cut off does not disturb the others when it comes back:
# it asks for pre-votes first, and its term does not grow meanwhile
# (dissertation 9.6).
cluster 3
settings heartbeat_ms=700
quietly elect n1

partition n3 | n1 n2
propose n1 x
    n1@1 writes w3 append [2@1]
    n1@1 proposal 1 appended at 2@1
    n1@1 -> n2 AppendEntries prev=1@1 [2@1] commit=1 r3
    n1@1 -x n3 AppendEntries prev=1@1 [2@1] commit=1 r4
settle
    n2@1 writes w3 append [2@1]
    n2@1 commits 0 => 1
    n2@1 -> n1 AppendEntriesReply matched=2 r3
    n2 applies 1@1 noop
    n1@1 commits 1 => 2
    n1 applies 2@1 x

# n3 hears nothing. However often its deadline comes, it stays in term 1.
run 4000ms
    n1@1 -> n2 AppendEntries prev=2@1 [] commit=2 r5
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r6
    n2@1 -> n1 AppendEntriesReply matched=2 r5
    n2@1 commits 1 => 2
    n2 applies 2@1 x
    n1@1 -> n2 AppendEntries prev=2@1 [] commit=2 r7
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r8
    n2@1 -> n1 AppendEntriesReply matched=2 r7
    n3@1 -x n1 PreVote term=2 last=1@1
    n3@1 -x n2 PreVote term=2 last=1@1
    n3@1 follower => candidate
    n1@1 -> n2 AppendEntries prev=2@1 [] commit=2 r9
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r10
    n2@1 -> n1 AppendEntriesReply matched=2 r9
    n1@1 -> n2 AppendEntries prev=2@1 [] commit=2 r11
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r12
    n2@1 -> n1 AppendEntriesReply matched=2 r11
    n3@1 -x n1 PreVote term=2 last=1@1
    n3@1 -x n2 PreVote term=2 last=1@1
    n1@1 -> n2 AppendEntries prev=2@1 [] commit=2 r13
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r14
    n2@1 -> n1 AppendEntriesReply matched=2 r13
show
    n1@1 leader, commit 2, applied 2, log 1 1
    n2@1 follower of n1, commit 2, applied 2, log 1 1
    n3@1 candidate, commit 0, applied 0, log 1

# The links are mended, and n3 asks before the leader speaks to it: n1 and n2 are
# content with their leader, and n3's log is behind. Nobody's term grows.
heal
deadline n3
    n3@1 -> n1 PreVote term=2 last=1@1
    n3@1 -> n2 PreVote term=2 last=1@1
settle
    n1@1 -> n3 PreVoteReply denied
    n2@1 -> n3 PreVoteReply denied
    n3@1 candidate => follower
run 700ms
    n1@1 -> n2 AppendEntries prev=2@1 [] commit=2 r15
    n1@1 -> n3 AppendEntries prev=1@1 [] commit=1 r16
    n2@1 -> n1 AppendEntriesReply matched=2 r15
    n3@1 -> n1 AppendEntriesReply matched=1 r16
    n3@1 commits 0 => 1
    n3@1 follower => follower of n1
    n3 applies 1@1 noop
    n1@1 -> n3 AppendEntries prev=2@1 [] commit=2 r17
    n3@1 -> n1 AppendEntriesReply conflict at=2 hint=1@1 r17
    n1@1 -> n3 AppendEntries prev=1@1 [2@1] commit=2 r18
    n3@1 writes w3 append [2@1]
    n3@1 commits 1 => 2
    n3@1 -> n1 AppendEntriesReply matched=2 r18
    n3 applies 2@1 x
    n1@1 -> n2 AppendEntries prev=2@1 [] commit=2 r19
    n1@1 -> n3 AppendEntries prev=2@1 [] commit=2 r20
    n2@1 -> n1 AppendEntriesReply matched=2 r19
    n3@1 -> n1 AppendEntriesReply matched=2 r20
show
    n1@1 leader, commit 2, applied 2, log 1 1
    n2@1 follower of n1, commit 2, applied 2, log 1 1
    n3@1 follower of n1, commit 2, applied 2, log 1 1
