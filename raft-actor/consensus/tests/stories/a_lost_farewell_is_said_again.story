# The farewell is lost, and with it the configuration: it is said again with the next heartbeat, fails the log check, and
# brings about that both are sent (§5.3). When that is acknowledged, nothing more is said.
cluster 3
quietly elect n1
quietly run 200ms
quietly change n1 n1,n2
cut n1 -> n3
settle
    n2@1 writes w3 append [2@1]
    n2@1 -> n1 AppendEntriesReply matched=2 r7
    n1@1 writes w4 append [3@1]
    n1@1 commits 1 => 2
    n1@1 -> n2 AppendEntries prev=2@1 [3@1] commit=2 r9
    n1@1 -x n3 AppendEntries prev=2@1 [3@1] commit=2 r10
    n1 applies 2@1 voters n1,n2|n1,n2,n3
    n2@1 writes w4 append [3@1]
    n2@1 commits 1 => 2
    n2@1 -> n1 AppendEntriesReply matched=3 r9
    n2 applies 2@1 voters n1,n2|n1,n2,n3
    n1@1 -x n3 AppendEntries prev=3@1 [] commit=3 r11
    n1@1 commits 2 => 3
    n1 applies 3@1 voters n1,n2
configurations
    n1@1 counts the voters n1 n2
    n2@1 counts the voters n1 n2
    n3@1 counts the voters n1 n2 n3
heal
run 100ms
    n1@1 -> n2 AppendEntries prev=3@1 [] commit=3 r12
    n1@1 -> n3 AppendEntries prev=3@1 [] commit=3 r13
    n2@1 -> n1 AppendEntriesReply matched=3 r12
    n2@1 commits 2 => 3
    n2 applies 3@1 voters n1,n2
    n3@1 -> n1 AppendEntriesReply conflict at=3 hint=1@1 r13
    n1@1 -> n3 AppendEntries prev=1@1 [2@1 3@1] commit=3 r14
    n3@1 writes w3 append [2@1 3@1]
    n3@1 follower => learner of n1
    n3@1 commits 1 => 3
    n3@1 -> n1 AppendEntriesReply matched=3 r14
    n3 applies 2@1 voters n1,n2|n1,n2,n3, 3@1 voters n1,n2
configurations
    n1@1 counts the voters n1 n2
    n2@1 counts the voters n1 n2
    n3@1 counts the voters n1 n2
run 100ms
    n1@1 -> n2 AppendEntries prev=3@1 [] commit=3 r15
    n2@1 -> n1 AppendEntriesReply matched=3 r15
