# What was durable on a follower is gone when it comes back. It says so and acknowledges nothing, until it has all that
# the leader had when it first heard of it; then it is a voter like any other, and can lead.
cluster 3
quietly elect n1
quietly settle
quietly propose n1 a b c
quietly run 300ms
crash n3
damage n3 2
quietly propose n1 d
quietly settle
restart n3
show
run 100ms
propose n1 e
settle
run 100ms
show
quietly crash n1
quietly elect n3
quietly settle
show
