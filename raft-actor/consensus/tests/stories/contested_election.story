# Two servers campaign in the same term (§5.2). Each other server votes once,
# first come, first served; the one with the majority wins, and the other
# returns to being a follower when it hears from the winner.
cluster 5

# Both ask for pre-votes (dissertation 9.6). These bind nobody: all can be granted.
deadline n1
deadline n2
deliver
deliver

# Both are candidates of term 1 now. n3 and n5 hear n1 first, n4 hears n2 first.
deliver n1 -> n3
deliver n2 -> n4
deliver n1 -> n5
deliver n2 -> n5
deliver n2 -> n3
deliver n1 -> n4
deliver n1 -> n2
deliver n2 -> n1

# The votes: n1 has three with its own.
deliver * -> n1
deliver * -> n2

settle
show
