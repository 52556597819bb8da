# Changes of the membership that overlap. One at a time: while a configuration is joint or not committed, nothing else
# is begun, so that no two majorities can decide without each other (§6).
cluster 3
joining n4
quietly elect n1
quietly run 200ms

# The first is joint and cannot be committed: whatever else n1 is asked for has to wait. Also to go back.
partition n1 | n2 n3
change n1 n1
change n1 n1,n2
change n1 n1,n2,n3
configurations

# The others elect a leader and change the membership their own way. What n1 has is overwritten, and counts no more.
quietly run 3000ms
show
change n2 n2,n3
change n3 n2,n3
quietly settle
configurations
heal
quietly run 500ms
configurations
show
