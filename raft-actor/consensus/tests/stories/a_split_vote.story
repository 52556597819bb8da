# Two candidates get half of the votes each: nobody wins, and the term ends
# without a leader. The next randomized timeout breaks the tie (§5.2).
cluster 4
deadline n1
deadline n2
deliver
deliver

# n1 and n2 are candidates of term 1. n3 votes for n1, n4 for n2.
deliver n1 -> n3
deliver n2 -> n4
settle
show

# n1 times out first. Nobody has heard from a leader, so the pre-vote is granted.
deadline n1
settle
show
