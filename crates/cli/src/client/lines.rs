//! A body of JSON lines, as they come.

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

/// Longest line, in bytes.
const LINE_MAX: usize = 4 * 1024 * 1024;

/// The lines of a body. Empty ones, which keep the connection alive, are left out.
#[derive(Debug)]
pub struct Lines {
    body: BodyDataStream,
    buffer: BytesMut,
}

/// The body was cut, or has a line over 4 MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut(pub String);

impl Lines {
    /// The lines of this body.
    #[must_use]
    pub fn new(body: Body) -> Self {
        Self {
            body: body.into_data_stream(),
            buffer: BytesMut::new(),
        }
    }

    /// Reads no more: the next line is none.
    pub fn close(&mut self) {
        *self = Self::new(Body::empty());
    }

    /// The next line, without its line feed; none at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Cut`]: lines before it were whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(end + 1);
                line.truncate(end);
                if line.is_empty() {
                    continue;
                }
                return Ok(Some(line.freeze()));
            }
            if self.buffer.len() > LINE_MAX {
                return Err(Cut("a line is too long".to_owned()));
            }
            match self.body.next().await {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Err(error)) => return Err(Cut(error.to_string())),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(Cut("the last line is not whole".to_owned())),
            }
        }
    }
}
