//! The keys that clients of a key-value service write to, the same for every system.

use std::cell::Cell;
use std::rc::Rc;

/// So many keys, one after the other, by all clients together.
const KEYS: u64 = 100_000;

/// Which key is next. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    written: Rc<Cell<u64>>,
}

impl Keys {
    /// The one that reads ask for.
    pub(super) const READ: &'static str = "key-00000";

    pub(super) fn next(&self) -> String {
        let written = self.written.replace(self.written.get() + 1);
        format!("key-{:05}", written % KEYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_write_to_one_key_after_the_other_and_what_is_read_was_written_first() {
        let keys = Keys::default();
        assert_eq!([keys.next(), keys.clone().next()], [Keys::READ, "key-00001"]);
    }
}
