# A leader that hands over its office begins no change and goes on with none. When the transfer has failed, it does.
cluster 4
quietly elect n1
quietly run 200ms
cut n1 -> n2
quietly change n1 n1,n2,n3
transfer n1 n2
settle
    n3@1 writes w3 append [2@1]
    n3@1 -> n1 AppendEntriesReply matched=2 r11
    n4@1 writes w3 append [2@1]
    n4@1 -> n1 AppendEntriesReply matched=2 r12
    n1@1 commits 1 => 2
    n1 applies 2@1 voters n1,n2,n3|n1,n2,n3,n4
configurations
    n1@1 counts the voters n1 n2 n3 | n1 n2 n3 n4
    n2@1 counts the voters n1 n2 n3 n4
    n3@1 counts the voters n1 n2 n3 | n1 n2 n3 n4
    n4@1 counts the voters n1 n2 n3 | n1 n2 n3 n4
change n1 n1,n2
    n1@1 change 3 refused, the leader is handing over its office
quietly run 900ms
run 100ms
    n1@1 transfer 2 timed out
    n1@1 -x n2 AppendEntries prev=1@1 [] commit=1 r40
    n1@1 -> n3 AppendEntries prev=2@1 [] commit=2 r41
    n1@1 -> n4 AppendEntries prev=2@1 [] commit=2 r42
    n1@1 writes w4 append [3@1]
    n1@1 -x n2 AppendEntries prev=2@1 [3@1] commit=2 r43
    n1@1 -> n3 AppendEntries prev=2@1 [3@1] commit=2 r44
    n1@1 -> n4 AppendEntries prev=2@1 [3@1] commit=2 r45
    n3@1 -> n1 AppendEntriesReply matched=2 r41
    n4@1 -> n1 AppendEntriesReply matched=2 r42
    n3@1 writes w4 append [3@1]
    n3@1 -> n1 AppendEntriesReply matched=3 r44
    n4@1 writes w4 append [3@1]
    n4@1 follower => learner of n1
    n4@1 -> n1 AppendEntriesReply matched=3 r45
    n1@1 -> n4 AppendEntries prev=3@1 [] commit=3 r46
    n1@1 commits 2 => 3
    n1 applies 3@1 voters n1,n2,n3
    n4@1 -> n1 AppendEntriesReply matched=3 r46
    n4@1 commits 2 => 3
    n4 applies 3@1 voters n1,n2,n3
quietly run 200ms
heal
quietly run 200ms
configurations
    n1@1 counts the voters n1 n2 n3
    n2@1 counts the voters n1 n2 n3
    n3@1 counts the voters n1 n2 n3
    n4@1 counts the voters n1 n2 n3

# When it succeeds, the next leader goes on.
hold-streams n1
change n1 n1,n2
    n1@1 writes w5 append [4@1]
    n1@1 change 4 appended at 4@1
transfer n1 n2
free-streams n1
    n1@1 -> n2 AppendEntries prev=3@1 [4@1] commit=3 r57
    n1@1 -> n3 AppendEntries prev=3@1 [4@1] commit=3 r58
quietly settle
show
    n1@2 follower of n2, commit 5, applied 5, log 1 1:voters n1,n2,n3|n1,n2,n3,n4 1:voters n1,n2,n3 1:voters n1,n2|n1,n2,n3 2 2:voters n1,n2
    n2@2 leader, commit 6, applied 6, log 1 1:voters n1,n2,n3|n1,n2,n3,n4 1:voters n1,n2,n3 1:voters n1,n2|n1,n2,n3 2 2:voters n1,n2
    n3@2 learner of n2, commit 6, applied 6, log 1 1:voters n1,n2,n3|n1,n2,n3,n4 1:voters n1,n2,n3 1:voters n1,n2|n1,n2,n3 2 2:voters n1,n2
    n4@1 learner of n1, commit 3, applied 3, log 1 1:voters n1,n2,n3|n1,n2,n3,n4 1:voters n1,n2,n3
