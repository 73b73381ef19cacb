//! `/v1/store/export`: the whole store as one file, while commits go on.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use dormouse_filesystem::portable::{self, ExportError};
use dormouse_filesystem::{Prefix, RecordStore};
use futures::{Stream, stream};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::task::JoinHandle;

use super::house::{Asker, House};
use crate::edge;

/// Bytes that are written ahead of the reader.
const AHEAD_BYTES: usize = 256 * 1024;

/// The file, as it is written. One that ends early is cut: it has no trailer, and its body has no end.
pub(super) async fn export(State(house): State<House>, _: Asker) -> Response {
    let body = Body::from_stream(written(house.store()));
    ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
}

fn written(store: Arc<dyn RecordStore>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (mut writer, reader) = tokio::io::duplex(AHEAD_BYTES);
    // Ends with its reader: what it writes is taken by nobody then.
    let writing = tokio::spawn(async move {
        portable::export(&*store, &Prefix::root(), &mut writer, edge::now())
            .await
            .map(drop)
    });
    stream::unfold(Some((reader, writing)), async |state| {
        let (reader, writing) = state?;
        next(reader, writing).await
    })
}

type Writing = JoinHandle<Result<(), ExportError>>;

async fn next(
    mut reader: DuplexStream,
    writing: Writing,
) -> Option<(io::Result<Bytes>, Option<(DuplexStream, Writing)>)> {
    let mut bytes = BytesMut::with_capacity(AHEAD_BYTES);
    match reader.read_buf(&mut bytes).await {
        Ok(0) => {
            let failure = match writing.await {
                Ok(Ok(())) => return None,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => panic.to_string(),
            };
            tracing::error!(failure, "the store was not exported");
            Some((Err(io::Error::other(failure)), None))
        }
        Ok(_) => Some((Ok(bytes.freeze()), Some((reader, writing)))),
        Err(error) => Some((Err(error), None)),
    }
}
