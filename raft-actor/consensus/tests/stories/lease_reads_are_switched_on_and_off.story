# Lease reads are part of the configuration. They can be switched on in a cluster that runs: the leader counts on
# those who durably know of it, and nobody else.
cluster 3
quietly elect n1
settle
quietly run 100ms
read-by-lease n1
    n1@1 -> n2 AppendEntries prev=1@1 [] commit=1 r5
    n1@1 -> n3 AppendEntries prev=1@1 [] commit=1 r6
quietly settle
hold-disk n2
hold-disk n3
lease-reads n1 10%
    n1@1 writes w3 append [2@1]
    n1@1 change 2 appended at 2@1
    n1@1 -> n2 AppendEntries prev=1@1 [2@1] commit=1 r7
    n1@1 -> n3 AppendEntries prev=1@1 [2@1] commit=1 r8
settle
    n2@1 writes w3 append [2@1]
    n3@1 writes w3 append [2@1]
read-by-lease n1
    n1@1 -> n2 AppendEntries prev=1@1 [] commit=1 r9
    n1@1 -> n3 AppendEntries prev=1@1 [] commit=1 r10
quietly settle
free-disk n2
    n2@1 -> n1 AppendEntriesReply matched=2 r7
quietly settle
read-by-lease n1
    n1@1 read 4 may be served at 2

# Off counts at once.
lease-reads n1 off
    n1@1 writes w4 append [3@1]
    n1@1 change 5 appended at 3@1
    n1@1 -> n2 AppendEntries prev=2@1 [3@1] commit=2 r11
    n1@1 -> n3 AppendEntries prev=2@1 [3@1] commit=2 r12
read-by-lease n1
    n1@1 -> n2 AppendEntries prev=2@1 [] commit=2 r13
    n1@1 -> n3 AppendEntries prev=1@1 [] commit=1 r14
