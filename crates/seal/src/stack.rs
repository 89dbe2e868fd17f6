//! Work whose stack is written over afterwards: there the cipher leaves copies of what it is given, and of its keys.

use zeroize::zeroize_stack;

/// More than the work reaches into the stack, in bytes.
const STACK_BYTES: usize = 64 * 1024;

/// Does the work. What comes of it should hold its secrets on the heap, for a value that is moved leaves a copy too.
pub(crate) fn cleared<T>(work: impl FnOnce() -> T) -> T {
    let done = apart(work);
    zeroize_stack::<STACK_BYTES>();
    done
}

/// The work in a frame of its own, below the one that stays.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}
