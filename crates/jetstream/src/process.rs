//! What a program of a party does first: it hides its memory from whoever else is on the machine.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Keeps the memory of this process out of core files, and, on Linux, from the other processes of its user: debuggers and
/// `/proc/PID/mem` are root's from then on (prctl(2), `PR_SET_DUMPABLE`). A program that it starts is not hidden, and
/// writes no core file either.
///
/// # Errors
///
/// If the system refuses; what it did not refuse is in force.
pub fn hide_memory() -> io::Result<()> {
    let no_core = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(no_core?)
}
