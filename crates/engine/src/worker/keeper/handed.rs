//! What a supervisor hands its keeper beside words: the ends of pipes that the worker gets.
//!
//! One byte goes first over their socket, and the descriptors ride on it. So a keeper is still spawned without fork, and no
//! descriptor is open without being closed on exec in a process that may start others meanwhile.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::FdFlags;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// The ends of pipes that the worker gets.
#[derive(Debug)]
pub(crate) struct Handed {
    /// Where it reports; its descriptor 3.
    pub(crate) report: OwnedFd,
    /// What it reads, where that is written while it runs.
    pub(crate) stdin: Option<OwnedFd>,
}

impl Handed {
    /// Sends it, before any frame.
    pub(crate) fn send(&self, socket: impl AsFd) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let ends: Vec<_> = std::iter::once(&self.report)
            .chain(&self.stdin)
            .map(AsFd::as_fd)
            .collect();
        let has_room = control.push(SendAncillaryMessage::ScmRights(&ends));
        debug_assert!(has_room, "there is room for two");
        sendmsg(socket, &[IoSlice::new(&[0])], &mut control, SendFlags::empty())?;
        Ok(())
    }

    /// Takes it, before any frame.
    pub(super) fn receive(socket: impl AsFd) -> io::Result<Self> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received = recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut byte)],
            &mut control,
            RecvFlags::empty(),
        )?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut ends = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(handed) = message {
                ends.extend(handed);
            }
        }
        // This process has one thread: nothing was started between.
        for end in &ends {
            rustix::io::fcntl_setfd(end, FdFlags::CLOEXEC)?;
        }
        let mut ends = ends.into_iter();
        Ok(Self {
            report: ends.next().ok_or(io::ErrorKind::InvalidData)?,
            stdin: ends.next(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_ends_that_were_handed_are_the_same_pipes() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (reader, report) = io::pipe().unwrap();
        let (stdin, mut writer) = io::pipe().unwrap();
        let handed = Handed {
            report: report.into(),
            stdin: Some(stdin.into()),
        };
        handed.send(&ours).unwrap();
        drop(handed);
        let received = Handed::receive(&theirs).unwrap();
        File::from(received.report).write_all(b"said").unwrap();
        let mut said = String::new();
        File::from(OwnedFd::from(reader))
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(said, "said");
        writer.write_all(b"told").unwrap();
        drop(writer);
        let mut told = String::new();
        File::from(received.stdin.unwrap())
            .read_to_string(&mut told)
            .unwrap();
        assert_eq!(told, "told");
    }

    #[test]
    fn a_supervisor_that_goes_first_hands_nothing() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(ours);
        assert!(Handed::receive(&theirs).is_err());
    }
}
