# A cluster of one elects itself, and commits when its own disk has the entry.
cluster 1
deadline n1
show
read n1
hold-disk n1
propose n1 x y
read n1
show
persist n1
show
crash n1
restart n1
show
deadline n1
show
