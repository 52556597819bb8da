# A vote leaves only when it is durable; else a crash could make a server vote
# twice in a term (§5.2, Figure 2: "updated on stable storage before responding").
cluster 3
hold-disk n2
deadline n1
deliver n1 -> n2
drop n1 -> n3
deliver n2 -> n1
deliver n1 -> n2

# The vote is written, not durable, and not sent. n2 crashes: it never happened.
crash n2
restart n2
drop
deadline n3
deliver n3 -> n2
settle
# It votes for n3 in the same term, and says so once that is durable.
persist n2
settle
show
