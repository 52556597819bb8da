# A follower that was away finds out in one round trip where its log ends,
# and then receives the rest in batches, several on their way at a time.
cluster 3
settings append_batch_bytes_max=130 inflight_appends_max=3
elect n1
settle
partition n3 | n1 n2
propose n1 a b c d e
settle
propose n1 f g h i j
settle
propose n1 k l m n o
settle
show

heal
deadline n1
deliver
deliver
deliver
deliver
settle
deadline n1
settle
show
