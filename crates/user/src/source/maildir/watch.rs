//! What the operating system tells of new files.

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::Watch;
#[cfg(target_os = "linux")]
pub(super) use linux::Watch;

/// What was watched is there no more.
#[derive(Debug)]
pub(super) struct Gone;

#[cfg(target_os = "linux")]
mod linux {
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::path::Path;

    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    use rustix::io::Errno;
    use tokio::io::unix::AsyncFd;

    use crate::source::SourceError;

    use super::Gone;

    /// Room for some dozen events.
    const EVENTS_OCTETS: usize = 4 * 1_024;

    /// `new` and `cur` of a Maildir, watched by inotify(7).
    #[derive(Debug)]
    pub(in super::super) struct Watch {
        inotify: AsyncFd<OwnedFd>,
    }

    impl Watch {
        /// Watches a Maildir from now on.
        pub(in super::super) fn new(maildir: &Path) -> Result<Self, SourceError> {
            let unwatched = |errno: Errno| SourceError::Unwatched(errno.into());
            let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(unwatched)?;
            let gone = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
            let delivered = gone | WatchFlags::MOVED_TO | WatchFlags::CREATE | WatchFlags::CLOSE_WRITE;
            for (dir, flags) in [("", gone), ("new", delivered), ("cur", delivered)] {
                inotify::add_watch(&inotify, maildir.join(dir), flags).map_err(|errno| match errno {
                    Errno::NOENT | Errno::NOTDIR => SourceError::NoMaildir { path: maildir.to_owned() },
                    Errno::ACCESS => SourceError::Unreadable { path: maildir.join(dir) },
                    errno => unwatched(errno),
                })?;
            }
            #[expect(
                deprecated,
                reason = "what comes instead is unsafe; this descriptor is owned, so it is valid as long as it is used"
            )]
            let inotify = AsyncFd::new(inotify).map_err(SourceError::Unwatched)?;
            Ok(Self { inotify })
        }

        /// Waits until something has changed; the files that were written in place of being moved there.
        pub(in super::super) async fn changed(&mut self) -> Result<Vec<String>, Gone> {
            loop {
                let mut ready = self.inotify.readable().await.map_err(|_| Gone)?;
                match drain(ready.get_inner()) {
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    Err(_) => return Err(Gone),
                    Ok(told) => return told,
                }
            }
        }
    }

    /// Everything that is told at the moment. If some was dropped, that it was is told; then all is looked at anyway.
    fn drain(inotify: &OwnedFd) -> Result<Result<Vec<String>, Gone>, Errno> {
        let mut room = [const { MaybeUninit::uninit() }; EVENTS_OCTETS];
        let mut reader = Reader::new(inotify, &mut room);
        let (mut rewritten, mut is_gone, mut is_first) = (Vec::new(), false, true);
        loop {
            match reader.next() {
                Ok(event) => {
                    let gone = ReadFlags::DELETE_SELF
                        | ReadFlags::MOVE_SELF
                        | ReadFlags::IGNORED
                        | ReadFlags::UNMOUNT;
                    is_gone |= event.events().intersects(gone);
                    if event.events().contains(ReadFlags::CLOSE_WRITE) {
                        rewritten.extend(event.file_name().map(|name| name.to_string_lossy().into_owned()));
                    }
                }
                Err(Errno::AGAIN) if !is_first => return Ok(if is_gone { Err(Gone) } else { Ok(rewritten) }),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            }
            is_first = false;
        }
    }
}

/// Where nothing is told: everything is looked at every second.
#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::path::Path;
    use std::time::Duration;

    use crate::source::SourceError;

    use super::Gone;

    #[derive(Debug)]
    pub(in super::super) struct Watch;

    impl Watch {
        pub(in super::super) fn new(maildir: &Path) -> Result<Self, SourceError> {
            let is_maildir = ["new", "cur"].iter().all(|dir| maildir.join(dir).is_dir());
            if is_maildir { Ok(Self) } else { Err(SourceError::NoMaildir { path: maildir.to_owned() }) }
        }

        pub(in super::super) async fn changed(&mut self) -> Result<Vec<String>, Gone> {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Vec::new())
        }
    }
}
