//! Room for what waits to be answered. Who finds none waits, and reads no further.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much waits at most, in bytes: some 100,000 short lines.
pub const MOST: usize = 64 << 20;
/// How long nothing has to be answered before that is said.
const PATIENCE: Duration = Duration::from_secs(1);

/// Room that several places share.
pub struct Room {
    most: usize,
    taken: Mutex<usize>,
    freed: Condvar,
}

/// A place in it, given back when it is dropped.
pub struct Place {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    /// Room for so many bytes.
    pub fn of(most: usize) -> Arc<Room> {
        Arc::new(Room {
            most,
            taken: Mutex::default(),
            freed: Condvar::new(),
        })
    }

    /// Takes a place, once there is room for it. What is larger than all of it gets all of it. `stalled` is called if
    /// nothing becomes free for a while.
    pub fn take(self: &Arc<Room>, bytes: usize, stalled: impl FnOnce()) -> Place {
        let mut stalled = Some(stalled);
        let mut taken = self.lock();
        while *taken > 0 && *taken + bytes > self.most {
            let before = *taken;
            let waited = self.freed.wait_timeout(taken, PATIENCE);
            taken = waited.unwrap_or_else(PoisonError::into_inner).0;
            if *taken == before
                && let Some(stalled) = stalled.take()
            {
                stalled();
            }
        }
        *taken += bytes;
        Place {
            room: Arc::clone(self),
            bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.room.lock() -= self.bytes;
        self.room.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn who_finds_no_room_waits_until_there_is_some() {
        let room = Room::of(10);
        let first = room.take(6, || unreachable!());
        let _second = room.take(4, || unreachable!());
        let (says, said) = channel();
        thread::scope(|scope| {
            let third = scope.spawn(|| drop(room.take(1, || says.send(()).unwrap())));
            said.recv().unwrap();
            assert!(!third.is_finished());
            drop(first);
        });
        assert_eq!(*room.lock(), 4);
    }

    #[test]
    fn what_is_larger_than_the_room_has_it_alone() {
        let room = Room::of(10);
        drop(room.take(1 << 20, || unreachable!()));
        assert_eq!(*room.lock(), 0);
    }
}
