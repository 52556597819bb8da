# Alone, there is nobody else.
cluster 1
quietly elect n1
transfer n1
    n1@1 transfer 1 refused, no other voter can be reached
transfer n1 n1
    n1@1 transfer 2 done, n1 leads term 1
