# The ABA race: a follower's slow disk confirms a write that has been replaced
# since. That says nothing about the entry that now has the same index.
cluster 5
elect n1
deadline n1
settle

# n2 takes an entry of n1's that nobody else gets; its disk is slow.
hold-disk n2
propose n1 x
deliver n1 -> n2
drop
partition n1 | n2 n3 n4 n5

# n3 wins term 2 without n2, and replaces that entry.
deadline n3
settle

# The disk confirms the first write: 2@1, which is not in the log any more.
persist n2 1
# Then the others, in order.
persist n2
settle
show
