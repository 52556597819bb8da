# An AppendEntries that arrives late and a second time must not cut off what
# came after it: only a conflicting entry is deleted with what follows (§5.3).
cluster 3
elect n1
settle

propose n1 x
copy n1 -> n2
settle
propose n1 y
settle
deadline n1
settle
show

# The old message, prev 1@1 with the one entry 2@1, arrives again.
release
settle
show
