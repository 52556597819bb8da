# A leader that does not hear from a majority for an election timeout steps
# down, so that its clients look for another one (dissertation 6.2).
cluster 3
elect n1
settle
partition n1 | n2 n3
propose n1 x
read n1

# One follower is enough for a majority, none is not.
tick 950ms
show
tick 1200ms
show
propose n1 y
read n1
