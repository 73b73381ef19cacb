//! `store export`: the whole store in one file, by whoever owns it, while it goes on.

use std::path::{Path, PathBuf};

use dormouse_filesystem::portable;
use futures::StreamExt;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufReader};

use super::{file_refused, print, summary};
use crate::client::{Call, Session};
use crate::context::Context;
use crate::edge;
use crate::exit::Exit;
use crate::owner::Role;
use crate::problem::{Code, Problem, Result};

/// Writes `FILE.<random>.partial`, reads it again to its end, and only then names it `FILE`.
pub(super) async fn export(context: &Context, file: &Path) -> Result<Exit> {
    let file = context.environment.absolute(file);
    if file.exists() {
        let detail = format!("{} is there already", file.display());
        return Err(Problem::new(Code::Exists, detail)
            .hint("name another file, or remove it")
            .into());
    }
    // A name of its own: two exports, and what somebody else keeps there, do not meet.
    let mut partial = file.clone().into_os_string();
    partial.push(format!(".{:016x}.partial", edge::random_number()?));
    let partial = PathBuf::from(partial);
    let mut session = Session::new(context, Role::Visitor);
    let written = write(&mut session, &partial).await;
    let closed = session.close().await;
    let done = match (written, closed) {
        (Ok(()), Ok(())) => whole(&partial, &file).await,
        (Err(failure), _) | (Ok(()), Err(failure)) => Err(failure),
    };
    match done {
        Ok(found) => print(&context.ui, &summary(&file, &found)),
        Err(failure) => {
            // Nothing that looks like an export is left.
            let _ = tokio::fs::remove_file(&partial).await;
            Err(failure)
        }
    }
}

async fn write(session: &mut Session<'_>, partial: &Path) -> Result<()> {
    let answer = session.open(&Call::get("/v1/store/export")).await?;
    let mut options = File::options();
    let opened = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(partial)
        .await;
    let mut out = opened.map_err(|error| file_refused(partial, &error))?;
    let mut body = answer.body.into_data_stream();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|error| {
            Problem::new(Code::Unavailable, format!("the export was cut: {error}"))
                .hint("look with dormouse store check, then try again")
        })?;
        out.write_all(&bytes)
            .await
            .map_err(|error| file_refused(partial, &error))?;
    }
    let synced = async {
        out.flush().await?;
        out.sync_all().await
    };
    Ok(synced.await.map_err(|error| file_refused(partial, &error))?)
}

async fn whole(partial: &Path, file: &Path) -> Result<portable::Summary> {
    let opened = File::open(partial)
        .await
        .map_err(|error| file_refused(partial, &error))?;
    let found = portable::verify(&mut BufReader::new(opened))
        .await
        .map_err(|error| {
            Problem::new(
                Code::Internal,
                format!("what was exported cannot be read again: {error}"),
            )
        })?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let named = async {
        // Unlike a rename, this takes nobody's place.
        tokio::fs::hard_link(partial, file).await?;
        tokio::fs::remove_file(partial).await?;
        File::open(folder).await?.sync_all().await
    };
    named.await.map_err(|error| file_refused(file, &error))?;
    Ok(found)
}
