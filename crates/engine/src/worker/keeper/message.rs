//! What supervisor and keeper say to each other: frames of a length (4 bytes, big end first) and a JSON text.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::command::Stdin;
use crate::outcome::{Exit, ResourceUsage};
use crate::worker::identity::ProcessId;
use crate::worker::isolation::Wall;
use crate::worker::limits::ProcessLimits;

/// Longest frame, in bytes: a command line and an environment of the largest kind fit many times.
pub(crate) const FRAME_MAX: usize = 16 * 1024 * 1024;

/// Supervisor to keeper.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Instruction {
    /// What is to be run. The first one.
    Launch(Box<Order>),
    /// Run it: the process row is durable. The second one.
    Go,
    /// The first signal to the worker's group now, the kill when the grace is over.
    Stop { first: FirstSignal, grace_ms: u64 },
    /// The kill now.
    Kill,
}

/// What is to be run, and in what surroundings.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The file, absolute.
    pub(crate) program: PathBuf,
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: PathBuf,
    /// The whole environment.
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) stdin: Stdin,
    pub(crate) limits: ProcessLimits,
    /// None: not walled in.
    pub(crate) wall: Option<Wall>,
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments and variables may hold credentials.
        f.debug_struct("Order")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

/// How a worker is asked to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstSignal {
    /// TERM.
    #[default]
    Terminate,
    /// INT, for programs that tidy up on Ctrl-C only.
    Interrupt,
}

/// Keeper to supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The order is understood, nothing runs yet.
    Ready { keeper: ProcessId },
    /// It cannot be run, and was not. The last report.
    Failed {
        stage: Stage,
        errno: Option<i32>,
        detail: String,
    },
    /// The worker is its own program now.
    Started { worker: ProcessId },
    /// The worker's first process left, after a signal of ours or not.
    Exited { exit: Exit, signalled: bool },
    /// No process is left, or `left` that the kernel does not let go of. The last report.
    Empty {
        usage: ResourceUsage,
        strays: u32,
        left: u32,
    },
}

/// Where starting a worker went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    WorkingFolder,
    Stdin,
    /// The child's session, limits or descriptors.
    Setup,
    Wall,
    Exec,
}

/// One message as a frame.
pub(crate) fn frame<M: Serialize>(message: &M) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(message)?;
    if text.len() > FRAME_MAX {
        return Err(too_long(text.len()));
    }
    let length = u32::try_from(text.len()).expect("FRAME_MAX fits");
    Ok([&length.to_be_bytes()[..], &text].concat())
}

/// Bytes as they arrive, and the messages that are whole.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// More bytes.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message; none until more bytes are there.
    pub(crate) fn next<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        let Some(head) = self.bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*head) as usize;
        if length > FRAME_MAX {
            return Err(too_long(length));
        }
        let Some(text) = self.bytes.get(4..4 + length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(text)?;
        self.bytes.drain(..4 + length);
        Ok(Some(message))
    }
}

fn too_long(bytes: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a message of {bytes} bytes, at most {FRAME_MAX} are taken"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_every_cut() {
        let reports = [
            Report::Started {
                worker: ProcessId {
                    pid: 7,
                    start_time: 9,
                },
            },
            Report::Exited {
                exit: Exit {
                    code: Some(3),
                    signal: None,
                    by_us: false,
                    oom: false,
                },
                signalled: false,
            },
        ];
        let bytes: Vec<u8> = reports.iter().flat_map(|r| frame(r).unwrap()).collect();
        for cut in 0..=bytes.len() {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                frames.extend(part);
                while let Some(report) = frames.next::<Report>().unwrap() {
                    found.push(report);
                }
            }
            assert_eq!(found, reports);
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_it_is_stored() {
        let mut frames = Frames::default();
        frames.extend(&u32::MAX.to_be_bytes());
        assert!(frames.next::<Report>().is_err());
    }
}
