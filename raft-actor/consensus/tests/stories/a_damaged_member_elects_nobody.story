# n1 and n3 hold what is committed, n2 was cut off. n3 loses its copy and n1 is down: if n3 voted now, n2 would lead
# without it. So nobody leads until n1 is back.
cluster 3
quietly elect n1
quietly settle
quietly partition n2 | n1 n3
quietly propose n1 a b
quietly run 300ms
quietly crash n1
quietly crash n3
damage n3 1
quietly heal
restart n3
run 20ms
deadline n2
settle
quietly run 5000ms
deadline n3
settle
show
restart n1
quietly run 5000ms
show
