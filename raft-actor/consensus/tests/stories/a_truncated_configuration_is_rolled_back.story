# A configuration counts as soon as it is in the log, committed or not (§6).
# So it must stop counting when its entry is truncated, across a restart too.
cluster 3
log n1 1 2
log n2 1 2
log n3 1 1:n1,n2,n3,n4
configurations
    n1@2 counts the voters n1 n2 n3
    n2@2 counts the voters n1 n2 n3
    n3@1 counts the voters n1 n2 n3 n4

# n1 leads term 3. Its log differs from n3's at index 2: the configuration goes.
quietly deadline n1
quietly settle
configurations
    n1@3 counts the voters n1 n2 n3
    n2@3 counts the voters n1 n2 n3
    n3@3 counts the voters n1 n2 n3
show
    n1@3 leader, commit 3, applied 3, log 1 2 3
    n2@3 follower of n1, commit 0, applied 0, log 1 2 3
    n3@3 follower of n1, commit 3, applied 3, log 1 2 3

crash n3
restart n3
configurations
    n1@3 counts the voters n1 n2 n3
    n2@3 counts the voters n1 n2 n3
    n3@3 counts the voters n1 n2 n3
