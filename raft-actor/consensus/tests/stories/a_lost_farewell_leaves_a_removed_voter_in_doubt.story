# A leader says farewell for two minimum election timeouts (dissertation 4.2.3). A voter that cannot be reached in that
# time cannot know that it is removed: it asks for votes, in vain, for those who hear a leader refuse.
cluster 3
joining n4 n5 n6
quietly elect n1
quietly run 200ms
quietly change n1 n1,n2,n3,n4,n5,n6
quietly settle
quietly change n1 n4,n5,n6
transfer n1 n4
cut n4 -> n3
quietly settle
quietly run 2500ms
heal
quietly run 3000ms
configurations
    n1@2 counts the voters n4 n5 n6
    n2@2 counts the voters n4 n5 n6
    n3@2 counts the voters n4 n5 n6 | n1 n2 n3 n4 n5 n6
    n4@2 counts the voters n4 n5 n6
    n5@2 counts the voters n4 n5 n6
    n6@2 counts the voters n4 n5 n6
show
    n1@2 learner of n4, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n2@2 learner of n4, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n3@2 follower, commit 4, applied 4, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6
    n4@2 leader, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n5@2 follower of n4, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
    n6@2 follower of n4, commit 7, applied 7, log 1 1:voters n1,n2,n3 +n4 +n5 +n6 => n1,n2,n3,n4,n5,n6 1:voters n1,n2,n3,n4,n5,n6|n1,n2,n3 1:voters n1,n2,n3,n4,n5,n6 1:voters n4,n5,n6|n1,n2,n3,n4,n5,n6 2 2:voters n4,n5,n6
