# With lease reads on, a leader answers reads by itself as long as a quorum keeps its word (dissertation 6.4.1): a
# minimum election timeout, less twice what a clock may be off.
cluster 3
lease 10%
quietly elect n1
settle

# Nobody is asked.
read-by-lease n1
    n1@1 read 1 may be served at 1

# The lease counts from the sending of what was echoed, here the leader's first entry. 799 ms later it still holds.
partition n1 | n2 n3
tick 799ms
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r3
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r4
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r5
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r6
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r7
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r8
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r9
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r10
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r11
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r12
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r13
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r14
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r15
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r16
read-by-lease n1
    n1@1 read 2 may be served at 1

# A millisecond later a quorum has to confirm the read, as if there were no leases.
tick 1ms
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r17
    n1@1 -x n3 AppendEntries prev=1@1 [] commit=1 r18
read-by-lease n1

# The others help to elect nobody before 1000 ms have passed by their clocks.
deadline n2
    n2@1 -x n1 PreVote term=2 last=1@1
    n2@1 -> n3 PreVote term=2 last=1@1
    n2@1 follower => candidate
deliver n2 -> n3
    n3@1 -> n2 PreVoteReply term=2 granted
