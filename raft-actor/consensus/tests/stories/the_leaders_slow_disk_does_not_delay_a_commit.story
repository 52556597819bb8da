# The leader writes to its disk in parallel with its followers (dissertation
# 10.2.1). A majority of durable copies commits, even without its own; but it
# applies only what is durable at itself.
cluster 3
elect n1
settle

hold-disk n1
propose n1 x
deliver n1 -> n2
deliver n2 -> n1
deliver n1 -> n3
deliver n3 -> n1
show
persist n1
settle
show
