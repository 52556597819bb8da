# A member that may not vote yet (its directory is not confirmed) takes part in
# replication, but neither votes nor campaigns until it may.
cluster 3
without-suffrage n3
crash n2
deadline n1
settle
show

grant-suffrage n3
deadline n1
settle
show
