# A leader whose disk does not confirm a write for long enough steps down,
# although its heartbeats arrive. Until the disk answers it neither campaigns
# nor votes.
cluster 3
settings storage_stall_ms_max=1500 heartbeat_ms=500
elect n1
settle

hold-disk n1
propose n1 x
settle
run 1000ms
show
run 600ms
show

# A follower takes over. The stuck one grants nothing.
deadline n2
settle
show

free-disk n1
settle
run 500ms
show
