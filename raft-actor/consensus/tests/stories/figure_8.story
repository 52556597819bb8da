# Figure 8: why a leader does not commit entries of older terms by counting
# (§5.4.2). One entry per message, one message at a time.
cluster 5
settings append_batch_bytes_max=1 inflight_appends_max=1
log n1 1
log n2 1
log n3 1
log n4 1
log n5 1

# (a) n1 leads term 2 and replicates its entry at index 2 to n2 only.
deadline n1
deliver
deliver
deliver
deliver
deliver n1 -> n2
drop
crash n1

# (b) n5 wins term 3 with the votes of n3 and n4 and has another entry at index 2.
deadline n5
deliver
deliver
deliver
deliver
drop
crash n5

# (c) n1 restarts. It hears of term 3 first, then wins term 4 ...
restart n1
deadline n1
settle
deadline n1
deliver
deliver
deliver
deliver
# ... and replicates 2@2 to n3. Now it is on a majority: n1, n2, n3. It does not commit.
deliver n1 -> n3
deliver n3 -> n1
deliver n1 -> n3
deliver n3 -> n1
deliver n1 -> n2
deliver n2 -> n1
drop
show
crash n1

# (d) n5 restarts and wins with the votes of n3 and n4: 2@2 is overwritten everywhere.
restart n5
deadline n5
settle
deadline n5
settle
restart n1
run 200ms
show
