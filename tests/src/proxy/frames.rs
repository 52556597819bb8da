//! Where the frames of a stream begin and end.

use super::Cut;

const PREFIX_BYTES: usize = 4;

/// Follows a stream of frames, each of which begins with its length.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Frames that are complete.
    pub(super) complete: u64,
    /// Bytes seen of the frame after them, its prefix included.
    seen: u64,
    prefix: [u8; PREFIX_BYTES],
}

impl Frames {
    /// Follows `chunk`, the next bytes of the stream, but not beyond `cut`, whose frames were counted from `since` on.
    /// Returns how many bytes come before the cut, if it is within them.
    pub(super) fn follow(&mut self, chunk: &[u8], cut: Option<Cut>, since: u64) -> Option<usize> {
        for (at, byte) in chunk.iter().enumerate() {
            if cut.is_some_and(|cut| self.is_at(cut, since)) {
                return Some(at);
            }
            self.take(*byte);
        }
        None
    }

    fn is_at(&self, cut: Cut, since: u64) -> bool {
        let in_a_frame_to_cut = self.complete >= since + cut.frames && self.seen > 0;
        // The whole length is known only behind the prefix; no frame ends before that.
        let last_byte_is_next = self.length().is_some_and(|length| self.seen + 1 == length);
        in_a_frame_to_cut && (self.seen >= cut.bytes || last_byte_is_next)
    }

    /// The length of the current frame with its prefix, once it is known.
    fn length(&self) -> Option<u64> {
        let prefix_bytes = PREFIX_BYTES as u64;
        (self.seen >= prefix_bytes).then(|| u64::from(u32::from_be_bytes(self.prefix)) + prefix_bytes)
    }

    fn take(&mut self, byte: u8) {
        if let Some(place) = usize::try_from(self.seen).ok().and_then(|seen| self.prefix.get_mut(seen)) {
            *place = byte;
        }
        self.seen += 1;
        if self.length().is_some_and(|length| self.seen >= length) {
            self.complete += 1;
            self.seen = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of 5, 6 and 9 bytes.
    const STREAM: [u8; 20] = [0, 0, 0, 1, 9, 0, 0, 0, 2, 9, 9, 0, 0, 0, 5, 9, 9, 9, 9, 9];

    #[test]
    fn a_cut_lies_within_a_frame_however_the_stream_comes_in_pieces() {
        for (cut, expected) in [((0, 1), 1), ((0, 4), 4), ((0, 100), 4), ((1, 3), 8), ((1, 5), 10), ((2, 6), 17)] {
            let (frames, bytes) = cut;
            for piece in 1..=STREAM.len() {
                let (mut follower, mut before, mut found) = (Frames::default(), 0, None);
                for chunk in STREAM.chunks(piece) {
                    found = follower.follow(chunk, Some(Cut { frames, bytes }), 0).map(|at| before + at);
                    if found.is_some() {
                        break;
                    }
                    before += chunk.len();
                }
                assert_eq!(found, Some(expected), "{cut:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn frames_are_counted_from_when_the_cut_was_asked_for() {
        let mut frames = Frames::default();
        assert_eq!(frames.follow(&STREAM[..7], None, 0), None);
        assert_eq!(frames.complete, 1);
        assert_eq!(frames.follow(&STREAM[7..], Some(Cut { frames: 1, bytes: 1 }), 1), Some(5));
    }
}
