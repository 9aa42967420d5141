//! loom's atomics, with sequential consistency.
//!
//! loom treats a SeqCst access as Acquire and Release, under which "I write mine, then read yours"
//! fails although it cannot; only its SeqCst *fence* is one. So an access that asks for SeqCst gets
//! the fences that compilers for weak machines put around it. One that asks for less gets none,
//! which is how an ordering that is too weak shows, unless the SeqCst access next to it makes up for
//! it here: a fence orders more than the access does.

use loom::sync::atomic::{self, Ordering, fence};

fn fence_if_seq_cst(order: Ordering) {
    if order == Ordering::SeqCst {
        fence(order);
    }
}

fn of_load(order: Ordering) -> Ordering {
    match order {
        Ordering::SeqCst => Ordering::Acquire,
        weaker => weaker,
    }
}

fn of_store(order: Ordering) -> Ordering {
    match order {
        Ordering::SeqCst => Ordering::Release,
        weaker => weaker,
    }
}

fn of_swap(order: Ordering) -> Ordering {
    match order {
        Ordering::SeqCst => Ordering::AcqRel,
        weaker => weaker,
    }
}

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        #[derive(Debug, Default)]
        pub struct $name(atomic::$name);

        #[allow(dead_code, reason = "each has the methods of all")]
        impl $name {
            pub fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            pub fn load(&self, order: Ordering) -> $value {
                fence_if_seq_cst(order);
                self.0.load(of_load(order))
            }

            pub fn store(&self, value: $value, order: Ordering) {
                self.0.store(value, of_store(order));
                fence_if_seq_cst(order);
            }

            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                fence_if_seq_cst(order);
                let old = self.0.swap(value, of_swap(order));
                fence_if_seq_cst(order);
                old
            }

            pub fn compare_exchange_weak(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                fence_if_seq_cst(success);
                // loom's weak one fails at random, which would only repeat the loop around it.
                let result = self
                    .0
                    .compare_exchange(old, new, of_swap(success), of_load(failure));
                fence_if_seq_cst(success);
                result
            }
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicU8, u8);
atomic!(AtomicUsize, usize);

impl AtomicUsize {
    pub fn fetch_add(&self, value: usize, order: Ordering) -> usize {
        fence_if_seq_cst(order);
        let old = self.0.fetch_add(value, of_swap(order));
        fence_if_seq_cst(order);
        old
    }

    pub fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
        self.fetch_add(value.wrapping_neg(), order)
    }
}

impl AtomicU8 {
    pub fn fetch_or(&self, value: u8, order: Ordering) -> u8 {
        fence_if_seq_cst(order);
        let old = self.0.fetch_or(value, of_swap(order));
        fence_if_seq_cst(order);
        old
    }
}
