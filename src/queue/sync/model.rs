//! crossbeam's queue and parker, arc-swap's pointer and the clock, in terms that a checker follows.

use std::cell::Cell;
use std::ops::{Add, Deref, Sub};
use std::sync::Arc;
use std::time::Duration;

use super::{AtomicUsize, Condvar, Mutex, Ordering, lock, thread};

/// crossbeam's `ArrayQueue`, access by access and ordering by ordering: a queue behind a mutex would
/// order more than the real one does, and would never be seen in the middle of a push. Only the
/// values' cells are safe ones: that each is used by one thread at a time is asserted.
pub struct ArrayQueue<T> {
    head: AtomicUsize,
    tail: AtomicUsize,
    slots: Box<[Slot<T>]>,
    one_lap: usize,
}

struct Slot<T> {
    stamp: AtomicUsize,
    value: std::sync::Mutex<Option<T>>,
}

impl<T> Slot<T> {
    fn value(&self) -> std::sync::MutexGuard<'_, Option<T>> {
        self.value.try_lock().expect("a slot has one user")
    }
}

impl<T> ArrayQueue<T> {
    pub fn new(capacity: usize) -> ArrayQueue<T> {
        assert!(capacity > 0, "capacity must be non-zero");
        let slot = |stamp| Slot {
            stamp: AtomicUsize::new(stamp),
            value: std::sync::Mutex::new(None),
        };
        ArrayQueue {
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            slots: (0..capacity).map(slot).collect(),
            one_lap: (capacity + 1).next_power_of_two(),
        }
    }

    fn next(&self, position: usize) -> (&Slot<T>, usize) {
        let index = position & (self.one_lap - 1);
        let lap = position & !(self.one_lap - 1);
        let last = index + 1 == self.slots.len();
        let next = if last {
            lap + self.one_lap
        } else {
            position + 1
        };
        (&self.slots[index], next)
    }

    pub fn push(&self, value: T) -> Result<(), T> {
        let mut tail = self.tail.load(Ordering::Relaxed);
        loop {
            let (slot, next) = self.next(tail);
            let stamp = slot.stamp.load(Ordering::Acquire);
            if stamp == tail {
                match self.tail.compare_exchange_weak(
                    tail,
                    next,
                    Ordering::SeqCst,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        assert!(slot.value().replace(value).is_none());
                        slot.stamp.store(tail + 1, Ordering::Release);
                        return Ok(());
                    }
                    Err(newer) => tail = newer,
                }
                continue;
            }
            if stamp + self.one_lap == tail + 1 {
                fence();
                if self.head.load(Ordering::Relaxed) + self.one_lap == tail {
                    return Err(value);
                }
            }
            thread::yield_now();
            tail = self.tail.load(Ordering::Relaxed);
        }
    }

    pub fn pop(&self) -> Option<T> {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let (slot, next) = self.next(head);
            let stamp = slot.stamp.load(Ordering::Acquire);
            if stamp == head + 1 {
                match self.head.compare_exchange_weak(
                    head,
                    next,
                    Ordering::SeqCst,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        let value = slot.value().take();
                        slot.stamp.store(head + self.one_lap, Ordering::Release);
                        return Some(value.expect("a stamped slot is full"));
                    }
                    Err(newer) => head = newer,
                }
                continue;
            }
            if stamp == head {
                fence();
                if self.tail.load(Ordering::Relaxed) == head {
                    return None;
                }
            }
            thread::yield_now();
            head = self.head.load(Ordering::Relaxed);
        }
    }

    pub fn len(&self) -> usize {
        loop {
            let tail = self.tail.load(Ordering::SeqCst);
            let head = self.head.load(Ordering::SeqCst);
            if self.tail.load(Ordering::SeqCst) == tail {
                let index = |position: usize| position & (self.one_lap - 1);
                return match index(tail).wrapping_sub(index(head)) {
                    0 if tail == head => 0,
                    0 => self.slots.len(),
                    ahead if ahead < self.slots.len() => ahead,
                    behind => self.slots.len().wrapping_add(behind),
                };
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.head.load(Ordering::SeqCst) == self.tail.load(Ordering::SeqCst)
    }

    pub fn is_full(&self) -> bool {
        let tail = self.tail.load(Ordering::SeqCst);
        self.head.load(Ordering::SeqCst) + self.one_lap == tail
    }

    pub fn capacity(&self) -> usize {
        self.slots.len()
    }
}

fn fence() {
    // shuttle's accesses are all sequentially consistent.
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

/// arc-swap's `ArcSwapOption`: what is loaded may be an older value than the last one, as far as
/// Release and Acquire allow.
pub struct ArcSwapOption<T> {
    /// Every value that ever was in it.
    values: std::sync::Mutex<Vec<Option<Arc<T>>>>,
    current: AtomicUsize,
}

impl<T> ArcSwapOption<T> {
    pub fn empty() -> ArcSwapOption<T> {
        ArcSwapOption {
            values: std::sync::Mutex::new(vec![None]),
            current: AtomicUsize::new(0),
        }
    }

    pub fn store(&self, value: Option<Arc<T>>) {
        let index = {
            let mut values = self.values.try_lock().expect("no step in between");
            values.push(value);
            values.len() - 1
        };
        self.current.swap(index, Ordering::AcqRel);
    }

    pub fn load_full(&self) -> Option<Arc<T>> {
        let index = self.current.load(Ordering::Acquire);
        self.values.try_lock().expect("no step in between")[index].clone()
    }

    pub fn load(&self) -> Guard<T> {
        Guard(self.load_full())
    }
}

impl<T> Default for ArcSwapOption<T> {
    fn default() -> Self {
        Self::empty()
    }
}

pub struct Guard<T>(Option<Arc<T>>);

impl<T> Deref for Guard<T> {
    type Target = Option<Arc<T>>;

    fn deref(&self) -> &Option<Arc<T>> {
        &self.0
    }
}

/// Gives up at once: schedules in which it spins first are no others.
pub struct Backoff;

impl Backoff {
    pub fn new() -> Backoff {
        Backoff
    }

    pub fn is_completed(&self) -> bool {
        true
    }

    pub fn snooze(&self) {
        thread::yield_now();
    }
}

/// crossbeam's `Parker`: one token, which `unpark` leaves and `park` takes or waits for.
pub struct Parker(Unparker);

#[derive(Clone)]
pub struct Unparker(Arc<(Mutex<bool>, Condvar)>);

impl Parker {
    pub fn new() -> Parker {
        Parker(Unparker(Arc::new((Mutex::new(false), Condvar::new()))))
    }

    pub fn unparker(&self) -> &Unparker {
        &self.0
    }

    pub fn park(&self) {
        let (token, arrived) = &*self.0.0;
        let mut token = lock(token);
        while !*token {
            token = arrived.wait(token).expect("nothing panics under it");
        }
        *token = false;
    }

    /// While time passes the deadline arrives as soon as somebody else has had a chance to run.
    /// While it stands still only [`Unparker::unpark`] ends it.
    pub fn park_deadline(&self, deadline: Instant) {
        if !TIME_PASSES.get() {
            return self.park();
        }
        thread::yield_now();
        *lock(&self.0.0.0) = false;
        NOW.set(NOW.get().max(deadline.0));
    }
}

impl Unparker {
    pub fn unpark(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_one();
    }
}

/// A point on a clock that only [`Parker::park_deadline`] and [`pass`] move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

thread_local! {
    // Both checkers run all threads of a schedule on one thread of the system.
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static TIME_PASSES: Cell<bool> = const { Cell::new(true) };
}

/// Moves the clock.
pub fn pass(time: Duration) {
    NOW.set(NOW.get() + time);
}

/// Sets the clock to zero, and whether deadlines arrive.
pub fn set_clock(time_passes: bool) {
    NOW.set(Duration::ZERO);
    TIME_PASSES.set(time_passes);
}

impl Instant {
    pub fn now() -> Instant {
        Instant(NOW.get())
    }

    pub fn checked_add(&self, time: Duration) -> Option<Instant> {
        self.0.checked_add(time).map(Instant)
    }

    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, time: Duration) -> Instant {
        Instant(self.0 + time)
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.0 - earlier.0
    }
}
