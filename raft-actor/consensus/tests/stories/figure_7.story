# Figure 7: the leader of term 8 (n1) and followers (a) to (f), n2 to n7,
# whose logs differ from its own in every possible way. All are brought into
# line, each in at most three AppendEntries, by hints that skip whole terms (§5.3).
cluster 7
log n1 1 1 1 4 4 5 5 6 6 6
log n2 1 1 1 4 4 5 5 6 6
log n3 1 1 1 4
log n4 1 1 1 4 4 5 5 6 6 6 6
log n5 1 1 1 4 4 5 5 6 6 6 7 7
log n6 1 1 1 4 4 4 4
log n7 1 1 1 2 2 2 3 3 3 3 3
term n1 7
show

# The votes of (a), (b), (e), (f): (c) and (d) have longer or later logs.
deadline n1
deliver
deliver
deliver
deliver

# Replication: first to (a) ...
deliver n1 -> n2
deliver n2 -> n1
# (b), which misses many entries
deliver n1 -> n3
deliver n3 -> n1
# (c), with an entry too many
deliver n1 -> n4
deliver n4 -> n1
# (d), with entries of a later term than any of the leader's
deliver n1 -> n5
deliver n5 -> n1
# (e), with entries of the leader's terms that are not the leader's
deliver n1 -> n6
deliver n6 -> n1
# (f), with entries of two terms that the leader never saw
deliver n1 -> n7
deliver n7 -> n1
settle
deadline n1
settle
show
