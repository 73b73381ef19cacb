//! The owner lock: whoever holds it owns the store. A lock, never a pid file: the kernel frees it with the process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use dormouse_engine::Seat;
use dormouse_engine::worker::Boot;
use sha2::{Digest, Sha256};

use super::token::ControlToken;
use crate::place::{Refusal, check_file};
use crate::problem::{Code, Problem};

/// Most bytes of the note that a holder leaves.
const NOTE_MAX: u64 = 256;

/// The lock, held until this is dropped.
#[derive(Debug)]
pub struct OwnerLock {
    // Never unlinked: a second process could otherwise lock a file that a third no longer finds.
    file: File,
}

/// What an attempt to take the lock found.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours.
    Held(OwnerLock),
    /// Another process has it; its note says which, for people only.
    Busy(Option<String>),
}

impl OwnerLock {
    /// Takes the lock if it is free. Never waits.
    ///
    /// # Errors
    /// When the file is not ours alone, or the system refuses.
    pub fn attempt(path: &Path, note: &str) -> Result<Attempt, Problem> {
        let refuse = |source| Refusal::System {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).expect("a flag of open(2) fits"))
            .open(path)
            .map_err(refuse)?;
        check_file(path, &file)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Attempt::Busy(read_note(&file))),
            Err(TryLockError::Error(source)) => return Err(refuse(source).into()),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(note.as_bytes())
        };
        write(&mut file).map_err(refuse)?;
        Ok(Attempt::Held(Self { file }))
    }
}

impl OwnerLock {
    /// The seat that whoever holds this lock has alone: by the token that was made with the store here, the file that
    /// is locked, and the boot in which the kernel frees it with its holder. It tells nothing of the token.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn seat(&self, token: &ControlToken, boot: &Boot) -> Result<Seat, Problem> {
        let found = self.file.metadata().map_err(|error| {
            Problem::new(
                Code::Internal,
                format!("the owner lock cannot be looked at: {error}"),
            )
        })?;
        let mut digest = Sha256::new();
        for part in [
            "dormouse-seat",
            &token.expose(),
            &boot.host,
            &boot.boot_id,
            &found.dev().to_string(),
            &found.ino().to_string(),
        ] {
            digest.update(part);
            digest.update([0]);
        }
        Ok(Seat::new(
            data_encoding::HEXLOWER.encode(&digest.finalize()[..16]),
        ))
    }
}

fn read_note(file: &File) -> Option<String> {
    let mut note = String::new();
    file.take(NOTE_MAX).read_to_string(&mut note).ok()?;
    (!note.is_empty()).then_some(note)
}

/// Who holds a lock, as far as one can see without taking it for longer than the look.
#[derive(Debug)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// A process, by the note it left.
    Process(String),
    /// The file cannot be looked at.
    Unknown(Problem),
}

/// Looks who holds the lock. Makes and writes nothing.
#[must_use]
pub fn holder(path: &Path) -> Holder {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Holder::Nobody,
        Err(source) => {
            return Holder::Unknown(
                Refusal::System {
                    path: path.to_owned(),
                    source,
                }
                .into(),
            );
        }
    };
    if let Err(refusal) = check_file(path, &file) {
        return Holder::Unknown(refusal.into());
    }
    // Shared, so that two who look do not see one another; it is dropped at once.
    match file.try_lock_shared() {
        Ok(()) => Holder::Nobody,
        Err(_) => Holder::Process(
            read_note(&file).map_or_else(|| "another process".to_owned(), |note| note.trim().to_owned()),
        ),
    }
}
