//! Speaking to the endpoint of the run that this is inside of.

use bytes::Bytes;

use crate::client::{Answer, Call, Client, Connection, SendError, Server};
use crate::endpoint::{Connectable, TOKEN, connectable};
use crate::environment::Environment;
use crate::owner::token::ControlToken;
use crate::problem::{Code, Problem, Result};

/// The endpoint of the run that this is inside of.
#[derive(Debug)]
pub(super) struct Inside {
    client: Client,
    /// Keeps the way to the socket.
    _place: Connectable,
}

impl Inside {
    /// The endpoint of this run, for a command that works nowhere else.
    pub(super) fn of(environment: &Environment, command: &str, example: &str) -> Result<Self> {
        let folder = environment.folder_of("DORMOUSE_RUN_DIR").ok_or_else(|| {
            Problem::new(
                Code::Usage,
                format!("{command} works in the name of a run, and this is not inside of one"),
            )
            .hint(format!("run it in a worker, as in {example}"))
        })?;
        let place = connectable(&folder).map_err(|error| gone(&error.to_string()))?;
        let token =
            ControlToken::read(&folder.join(TOKEN)).map_err(|error| gone(&Problem::from(error).detail))?;
        Ok(Self {
            client: Client::to(Server::Unix(place.path.clone()), Some(token), None),
            _place: place,
        })
    }

    /// Asks, and waits for the answer for as long as it takes.
    pub(super) async fn ask(&self, call: &Call) -> Result<Bytes> {
        told(self.client.send(call).await, gone).await
    }

    /// A connection for more than one question: when it ends, whoever asked is gone.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let connected = self.client.connect().await;
        Ok(connected.map_err(|(SendError::NotSent(why) | SendError::Lost(why))| gone(&why))?)
    }

    /// Asks over this connection.
    pub(super) async fn ask_over(&self, connection: &mut Connection, call: &Call) -> Result<Bytes> {
        told(self.client.send_over(connection, call).await, gone).await
    }
}

/// A lost supervisor is a denial: nothing is approved by silence.
pub(super) fn gone(why: &str) -> Problem {
    Problem::new(
        Code::Unavailable,
        format!("nobody answers for this run, so the call is denied: {why}"),
    )
    .hint("the run is being ended, or its supervisor has gone; what it asked is kept: dormouse gate list")
}

/// What the endpoint answered; where nobody does, this problem.
pub(super) async fn told(
    sent: std::result::Result<Answer, SendError>,
    gone: impl Fn(&str) -> Problem,
) -> Result<Bytes> {
    let answer = sent.map_err(|(SendError::NotSent(why) | SendError::Lost(why))| gone(&why))?;
    let is_good = answer.status.is_success();
    let bytes = answer.bytes().await;
    let bytes = bytes.map_err(|(SendError::NotSent(why) | SendError::Lost(why))| gone(&why))?;
    if is_good {
        return Ok(bytes);
    }
    Err(match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => problem.into(),
        Err(_) => gone("its answer cannot be read").into(),
    })
}
