# A server that was cut off does not disturb the others when it comes back:
# it asks for pre-votes first, and its term does not grow meanwhile
# (dissertation 9.6).
cluster 3
elect n1

partition n3 | n1 n2
propose n1 x
settle
run 50ms

# n3 hears nothing. However often its deadline comes, it stays in term 1.
deadline n3
settle
deadline n3
settle
show

# The links are mended. n1 has lost contact with nobody that matters.
heal
deadline n1
settle
deadline n3
settle
propose n1 y
settle
show
