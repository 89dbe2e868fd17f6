//! How much mail the peers of one listener may have it hold at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What all large mails of a listener may take together, in octets.
const ROOM_OCTETS: usize = 64 * 1_024 * 1_024;
/// Up to this size a mail needs no room: mails with codes are small, and have a place whatever else comes.
pub(super) const SMALL_OCTETS: usize = 128 * 1_024;
/// What room is counted in, in octets.
const UNIT_OCTETS: usize = 16 * 1_024;

/// The room that is left, for all sessions of a listener.
#[derive(Debug, Clone)]
pub(in crate::source) struct Room(Arc<Semaphore>);

/// Room that a mail has taken; dropped, it is free again.
#[derive(Debug, Default)]
pub(super) struct Taken(Option<OwnedSemaphorePermit>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM_OCTETS / UNIT_OCTETS)))
    }
}

impl Room {
    /// Takes room for so many octets more; nothing is taken if there is not as much.
    pub(super) fn take(&self, taken: &mut Taken, octets: usize) -> Result<(), NoRoom> {
        let units = u32::try_from(octets.div_ceil(UNIT_OCTETS)).map_err(|_| NoRoom)?;
        let more = self.0.clone().try_acquire_many_owned(units).map_err(|_| NoRoom)?;
        match &mut taken.0 {
            Some(permit) => permit.merge(more),
            None => taken.0 = Some(more),
        }
        Ok(())
    }
}

/// That as much room is not left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_there_once_and_again_when_what_has_taken_it_is_gone() {
        let room = Room::default();
        let (mut one, mut other) = (Taken::default(), Taken::default());
        assert_eq!(room.take(&mut one, ROOM_OCTETS / 2), Ok(()));
        assert_eq!(room.take(&mut one, ROOM_OCTETS / 2 - 1), Ok(()));
        assert_eq!(room.take(&mut other, 1), Err(NoRoom));
        drop(one);
        assert_eq!(room.take(&mut other, ROOM_OCTETS), Ok(()));
    }
}
