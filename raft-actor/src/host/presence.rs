//! Which groups a host has, and which of them run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_consensus::GroupId;

use super::GroupError;

/// What is known of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is in the log, and nobody runs it.
    Closed,
    /// It is being created, opened or destroyed.
    Busy,
    /// It runs.
    Running,
    /// It was destroyed here; for ever.
    Destroyed,
}

/// The groups of a host. Shared by the host and its handles.
#[derive(Debug, Default)]
pub(super) struct Presence {
    groups: Mutex<BTreeMap<GroupId, Place>>,
}

impl Presence {
    pub(super) fn new(groups: impl IntoIterator<Item = (GroupId, Place)>) -> Self {
        Self { groups: Mutex::new(groups.into_iter().collect()) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<GroupId, Place>> {
        // Each change is one insertion or removal.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that exist, and whether they run.
    pub(super) fn existing(&self) -> BTreeMap<GroupId, bool> {
        let groups = self.lock();
        let existing = groups.iter().filter(|(_, place)| matches!(place, Place::Closed | Place::Running));
        existing.map(|(group, place)| (*group, *place == Place::Running)).collect()
    }

    /// A group that is not there yet; nobody else can begin it meanwhile.
    pub(super) fn begin(self: &Arc<Self>, group: GroupId) -> Result<Claim, GroupError> {
        let mut groups = self.lock();
        match groups.get(&group) {
            None => {}
            Some(Place::Closed | Place::Running) => return Err(GroupError::Exists { group }),
            Some(Place::Busy) => return Err(GroupError::Busy { group }),
            Some(Place::Destroyed) => return Err(GroupError::Destroyed { group }),
        }
        groups.insert(group, Place::Busy);
        Ok(Claim { presence: Arc::clone(self), group, otherwise: None })
    }

    /// A group that is there and does not run; nobody else can open it meanwhile.
    pub(super) fn reopen(self: &Arc<Self>, group: GroupId) -> Result<Claim, GroupError> {
        let mut groups = self.lock();
        match groups.get(&group) {
            Some(Place::Closed) => {}
            Some(Place::Running) => return Err(GroupError::Running { group }),
            None => return Err(GroupError::Unknown { group }),
            Some(Place::Busy) => return Err(GroupError::Busy { group }),
            Some(Place::Destroyed) => return Err(GroupError::Destroyed { group }),
        }
        groups.insert(group, Place::Busy);
        Ok(Claim { presence: Arc::clone(self), group, otherwise: Some(Place::Closed) })
    }

    /// A group that is to be destroyed, and whether it runs; nobody else can open it meanwhile.
    pub(super) fn take(self: &Arc<Self>, group: GroupId) -> Result<(Claim, bool), GroupError> {
        let mut groups = self.lock();
        let is_running = match groups.get(&group) {
            Some(Place::Closed) => false,
            Some(Place::Running) => true,
            None => return Err(GroupError::Unknown { group }),
            Some(Place::Busy) => return Err(GroupError::Busy { group }),
            Some(Place::Destroyed) => return Err(GroupError::Destroyed { group }),
        };
        groups.insert(group, Place::Busy);
        Ok((Claim { presence: Arc::clone(self), group, otherwise: Some(Place::Closed) }, is_running))
    }

    /// A group runs from now on.
    pub(super) fn runs(&self, group: GroupId) {
        self.lock().insert(group, Place::Running);
    }

    /// A group does not run any more.
    pub(super) fn stopped(&self, group: GroupId) {
        self.lock().entry(group).and_modify(|place| {
            if *place == Place::Running {
                *place = Place::Closed;
            }
        });
    }
}

/// A group that somebody begins, opens or destroys. Dropped before that is done, it is as it was.
#[derive(Debug)]
pub(super) struct Claim {
    presence: Arc<Presence>,
    group: GroupId,
    otherwise: Option<Place>,
}

impl Claim {
    /// It is in the log now, whatever becomes of the rest.
    pub(super) fn exists(&mut self) {
        self.otherwise = Some(Place::Closed);
    }

    /// It is no more.
    pub(super) fn destroyed(&mut self) {
        self.otherwise = Some(Place::Destroyed);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut groups = self.presence.lock();
        if groups.get(&self.group) != Some(&Place::Busy) {
            return;
        }
        match self.otherwise {
            Some(place) => groups.insert(self.group, place),
            None => groups.remove(&self.group),
        };
    }
}
