//! Room for lines that are not answered yet.
//!
//! Whoever sends lines may not read the answers for a while. What waits for it is bounded: when there is no room, no
//! further line is read.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How many bytes may wait: some 100,000 lines.
pub const ROOM: usize = 64 << 20;

/// What a line takes beside its bytes, about.
pub const EACH: usize = 256;

/// So many bytes, which lines take and give back.
pub struct Room {
    size: usize,
    taken: Mutex<usize>,
    given_back: Condvar,
}

/// What a line has taken; given back when it is dropped.
pub struct Taken {
    room: Arc<Room>,
    size: usize,
}

impl Room {
    pub fn of(size: usize) -> Arc<Room> {
        Arc::new(Room {
            size,
            taken: Mutex::default(),
            given_back: Condvar::new(),
        })
    }

    /// Waits until there is room for so many bytes. A line that is larger than all of it has it alone.
    pub fn take(self: &Arc<Room>, size: usize) -> Taken {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |taken: &mut usize| *taken > 0 && *taken + size > self.size;
        let taken = self.given_back.wait_while(taken, is_full);
        *taken.unwrap_or_else(PoisonError::into_inner) += size;
        Taken {
            room: Arc::clone(self),
            size,
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let taken = self.room.taken.lock();
        *taken.unwrap_or_else(PoisonError::into_inner) -= self.size;
        self.room.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_finds_no_room_waits_until_some_is_given_back() {
        let room = Room::of(10);
        let first = room.take(30);
        let waiting = thread::spawn({
            let room = Arc::clone(&room);
            move || drop((room.take(6), room.take(4)))
        });
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        drop(first);
        waiting.join().unwrap();
    }
}
