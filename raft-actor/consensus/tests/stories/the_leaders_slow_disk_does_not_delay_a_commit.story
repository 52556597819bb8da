# The leader writes to its disk in parallel with its followers (dissertation
# 10.2.1). A majority of durable copies commits, even without its own; but it
# applies only what is durable at itself.
cluster 3
quietly elect n1
settle

hold-disk n1
propose n1 x
    n1@1 writes w3 append [2@1]
    n1@1 proposal 1 appended at 2@1
    n1@1 -> n2 AppendEntries prev=1@1 [2@1] commit=1 r3
    n1@1 -> n3 AppendEntries prev=1@1 [2@1] commit=1 r4
deliver n1 -> n2
    n2@1 writes w3 append [2@1]
    n2@1 commits 0 => 1
    n2@1 -> n1 AppendEntriesReply matched=2 r3
    n2 applies 1@1 noop
deliver n2 -> n1
deliver n1 -> n3
    n3@1 writes w3 append [2@1]
    n3@1 commits 0 => 1
    n3@1 -> n1 AppendEntriesReply matched=2 r4
    n3 applies 1@1 noop
deliver n3 -> n1
    n1@1 commits 1 => 2
show
    n1@1 leader, commit 2, applied 1, log 1 1
    n2@1 follower of n1, commit 1, applied 1, log 1 1
    n3@1 follower of n1, commit 1, applied 1, log 1 1
persist n1
    n1 has durable w3
    n1 applies 2@1 x
settle
show
    n1@1 leader, commit 2, applied 2, log 1 1
    n2@1 follower of n1, commit 1, applied 1, log 1 1
    n3@1 follower of n1, commit 1, applied 1, log 1 1
