# A configuration counts as soon as it is in the log, committed or not (§6).
# So it must stop counting when its entry is truncated, across a restart too.
cluster 3
log n1 1 1
log n2 1 1
log n3 1 1:n1,n2,n3,n4
term n1 2
term n2 2
configurations

# n1 leads term 3: its entry 3@3 and what follows replace n3's log where it differs.
elect n1
configurations

# Now n1 itself has a configuration that nobody else has yet, and n2 wins without it.
crash n3
restart n3
configurations
show
