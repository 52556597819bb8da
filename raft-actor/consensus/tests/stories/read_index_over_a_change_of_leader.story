# A linearizable read is confirmed by a round of AppendEntries sent after it
# arrived, and never before the leader's own no-op is committed (§8,
# dissertation 6.4).
cluster 3
elect n1
settle
read n1
settle

# A read at a leader that is being cut off is never confirmed.
partition n1 | n2 n3
read n1

# The other two elect n2. A read before its no-op is committed has to wait.
deadline n2
deliver
deliver
deliver
deliver
read n2
settle

# The old leader hears of the new one and refuses what waited with it.
heal
deadline n2
settle
read n3
