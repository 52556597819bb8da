# A follower that was away finds out in one round trip where its log ends,
# and then receives the rest in batches, several on their way at a time.
cluster 3
settings append_batch_bytes_max=130 inflight_appends_max=3
quietly elect n1
settle
partition n3 | n1 n2
propose n1 a b c d e
    n1@1 writes w3 append [2@1..6@1]
    n1@1 proposal 1 appended at 2@1
    n1@1 -> n2 AppendEntries prev=1@1 [2@1..6@1] commit=1 r3
    n1@1 -x n3 AppendEntries prev=1@1 [2@1..6@1] commit=1 r4
settle
    n2@1 writes w3 append [2@1..6@1]
    n2@1 commits 0 => 1
    n2@1 -> n1 AppendEntriesReply matched=6 r3
    n2 applies 1@1 noop
    n1@1 commits 1 => 6
    n1 applies 2@1 a, 3@1 b, 4@1 c, 5@1 d, 6@1 e
propose n1 f g h i j
    n1@1 writes w4 append [7@1..11@1]
    n1@1 proposal 2 appended at 7@1
    n1@1 -> n2 AppendEntries prev=6@1 [7@1..11@1] commit=6 r5
    n1@1 -x n3 AppendEntries prev=6@1 [7@1..11@1] commit=6 r6
settle
    n2@1 writes w4 append [7@1..11@1]
    n2@1 commits 1 => 6
    n2@1 -> n1 AppendEntriesReply matched=11 r5
    n2 applies 2@1 a, 3@1 b, 4@1 c, 5@1 d, 6@1 e
    n1@1 commits 6 => 11
    n1 applies 7@1 f, 8@1 g, 9@1 h, 10@1 i, 11@1 j
propose n1 k l m n o
    n1@1 writes w5 append [12@1..16@1]
    n1@1 proposal 3 appended at 12@1
    n1@1 -> n2 AppendEntries prev=11@1 [12@1..16@1] commit=11 r7
    n1@1 -x n3 AppendEntries prev=11@1 [12@1..16@1] commit=11 r8
settle
    n2@1 writes w5 append [12@1..16@1]
    n2@1 commits 6 => 11
    n2@1 -> n1 AppendEntriesReply matched=16 r7
    n2 applies 7@1 f, 8@1 g, 9@1 h, 10@1 i, 11@1 j
    n1@1 commits 11 => 16
    n1 applies 12@1 k, 13@1 l, 14@1 m, 15@1 n, 16@1 o
show
    n1@1 leader, commit 16, applied 16, log 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
    n2@1 follower of n1, commit 11, applied 11, log 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
    n3@1 follower of n1, commit 0, applied 0, log 1

heal
deadline n1
    n1@1 -> n2 AppendEntries prev=16@1 [] commit=16 r9
    n1@1 -> n3 AppendEntries prev=1@1 [] commit=1 r10
deliver
    n2@1 -> n1 AppendEntriesReply matched=16 r9
    n2@1 commits 11 => 16
    n2 applies 12@1 k, 13@1 l, 14@1 m, 15@1 n, 16@1 o
    n3@1 -> n1 AppendEntriesReply matched=1 r10
    n3@1 commits 0 => 1
    n3 applies 1@1 noop
deliver
    n1@1 -> n3 AppendEntries prev=16@1 [] commit=16 r11
deliver
    n3@1 -> n1 AppendEntriesReply conflict at=16 hint=1@1 r11
deliver
    n1@1 -> n3 AppendEntries prev=1@1 [2@1..6@1] commit=16 r12
settle
    n3@1 writes w3 append [2@1..6@1]
    n3@1 commits 1 => 6
    n3@1 -> n1 AppendEntriesReply matched=6 r12
    n3 applies 2@1 a, 3@1 b, 4@1 c, 5@1 d, 6@1 e
    n1@1 -> n3 AppendEntries prev=6@1 [7@1..11@1] commit=16 r13
    n1@1 -> n3 AppendEntries prev=11@1 [12@1..16@1] commit=16 r14
    n3@1 writes w4 append [7@1..11@1]
    n3@1 commits 6 => 11
    n3@1 -> n1 AppendEntriesReply matched=11 r13
    n3 applies 7@1 f, 8@1 g, 9@1 h, 10@1 i, 11@1 j
    n3@1 writes w5 append [12@1..16@1]
    n3@1 commits 11 => 16
    n3@1 -> n1 AppendEntriesReply matched=16 r14
    n3 applies 12@1 k, 13@1 l, 14@1 m, 15@1 n, 16@1 o
deadline n1
    n1@1 -> n2 AppendEntries prev=16@1 [] commit=16 r15
    n1@1 -> n3 AppendEntries prev=16@1 [] commit=16 r16
settle
    n2@1 -> n1 AppendEntriesReply matched=16 r15
    n3@1 -> n1 AppendEntriesReply matched=16 r16
show
    n1@1 leader, commit 16, applied 16, log 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
    n2@1 follower of n1, commit 16, applied 16, log 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
    n3@1 follower of n1, commit 16, applied 16, log 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
