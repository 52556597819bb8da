//! A snapshot that is not what was written any more.

use super::*;

/// Wherever the bit flips; what was sent before it did, the follower refuses.
#[test]
fn a_snapshot_that_is_not_what_was_written_is_sent_to_nobody_and_the_node_is_told() {
    let size = write(&open(&SimDisk::new(1)), 9).id().size_bytes;
    for offset in [0, 9, 14, 20, 1_000, 100_000, 299_000, size - 17, size - 1] {
        virtually(async {
            let mut world = World::new();
            let file = write(&world.leader, 9);
            let name = world.leader_disk.files().pop().expect("it is there");
            assert!(world.leader_disk.flip_bit(&name, offset, 3));
            world.send(order(5, 7, &file), &file);
            match world.run(calm).await {
                Some(End::Unreadable(id, error)) => {
                    assert_eq!(id, file.id());
                    let words = error.to_string();
                    assert!(words.contains(".snapshot is damaged") && words.contains("in its place"), "{words}");
                }
                end => panic!("{end:?}"),
            }
            assert_eq!(world.sent_bytes, 0, "nothing of it leaves");
            let told_at = world.clock.now();
            assert!(matches!(world.run(calm).await, Some(End::Unreachable)), "the core tries again");
            assert!(world.clock.now() > told_at, "not at once: another one has to be taken first");
            // Another one takes its place.
            let file = write(&world.leader, 9);
            world.send(order(5, 8, &file), &file);
            let received = world.received(calm).await;
            world.check(received, &file);
        });
    }
}

#[test]
fn a_snapshot_that_rots_while_it_is_sent_is_refused_and_not_sent_again() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        let name = world.leader_disk.files().pop().expect("it is there");
        let disk = world.leader_disk.clone();
        world.send(order(5, 7, &file), &file);
        let mut sent = 0;
        let end = world
            .run(|in_flight| {
                let before = sent;
                sent += in_flight.iter().map(chunk_bytes).sum::<u64>();
                if before < 100_000 && sent >= 100_000 {
                    assert!(disk.flip_bit(&name, 250_000, 3));
                }
                calm(in_flight)
            })
            .await;
        assert!(matches!(end, Some(End::Unreachable)), "the follower has refused it: {end:?}");
        world.send(order(5, 8, &file), &file);
        let end = world.run(calm).await;
        assert!(matches!(end, Some(End::Unreadable(..))), "{end:?}");
        assert_eq!(world.sent_bytes, 0);
    });
}
