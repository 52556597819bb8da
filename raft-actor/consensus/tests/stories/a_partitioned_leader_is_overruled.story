# A leader in the minority goes on accepting commands but commits none. The
# majority elects another; the old leader's entries are replaced (§5.3).
cluster 5
elect n1
partition n1 n2 | n3 n4 n5
propose n1 lost
settle

# The majority side. n3's deadline lies past the others' minimum election timeout.
deadline n3
settle
propose n3 kept
settle
show

heal
deadline n3
settle
show
