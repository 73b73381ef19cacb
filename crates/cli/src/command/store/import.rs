//! `store import`: a whole exported file into an empty store, alone.

use std::path::Path;
use std::time::Duration;

use dormouse_filesystem::portable::{self, FileError, ImportError};
use dormouse_filesystem::{Deadline, OpenOptions, StoreUrl};
use tokio::fs::File;
use tokio::io::BufReader;

use super::{alone, file_refused, print, summary};
use crate::context::Context;
use crate::exit::Exit;
use crate::owner::store::{self, refused};
use crate::place::{Places, StorePlaces};
use crate::problem::{Code, Problem, Result};

/// How long closing the store may take.
const CLOSE_MAX: Duration = Duration::from_secs(30);

/// Reads the file to its end before the store is made; killed, the same file ends what was begun.
pub(super) async fn import(context: &Context, file: &Path, into: Option<&StoreUrl>) -> Result<Exit> {
    let file = context.environment.absolute(file);
    let opened = File::open(&file)
        .await
        .map_err(|error| file_refused(&file, &error))?;
    let mut reader = BufReader::new(opened);
    let found = portable::verify(&mut reader)
        .await
        .map_err(|error| of_file(&error))?;
    let places = places(context, into)?;
    let options = store::options(context)?;
    let options = OpenOptions {
        now: options.now.max(portable::needed_now(found.highest)),
        ..options
    };
    let lock = alone(&places)?;
    let target = places.url.open(&options).await.map_err(|error| refused(&error))?;
    let imported = portable::import(&mut reader, &*target).await;
    let closed = target.close(Deadline::after(CLOSE_MAX)).await;
    drop((target, lock));
    let imported = imported.map_err(|error| of_import(&error, &places.url))?;
    closed.map_err(|error| {
        Problem::new(
            Code::Unknown,
            format!("the store was not closed in time: {error}"),
        )
    })?;
    let mut pairs = summary(&file, &imported);
    pairs.push(("into", places.url.to_string()));
    print(&context.ui, &pairs)
}

fn places(context: &Context, into: Option<&StoreUrl>) -> std::result::Result<StorePlaces, Problem> {
    let Some(into) = into else {
        return Ok(context.places.clone());
    };
    let into = into.below(context.environment.working_folder());
    let schema = context.config.text("store.schema").unwrap_or_default();
    Ok(Places::find(&context.environment)?.of_store(Some(&context.places.data), Some(&into), schema))
}

fn of_file(error: &FileError) -> Problem {
    let detail = match error {
        FileError::Io(source) => format!("{error}: {source}"),
        FileError::Foreign | FileError::TooNew { .. } | FileError::Cut { .. } | FileError::Changed { .. } => {
            error.to_string()
        }
    };
    let code = match error {
        FileError::TooNew { .. } => Code::TooNew,
        FileError::Foreign | FileError::Cut { .. } | FileError::Changed { .. } | FileError::Io(_) => {
            Code::Invalid
        }
    };
    Problem::new(code, detail).hint("take another copy of the file; nothing was changed")
}

fn of_import(error: &ImportError, url: &StoreUrl) -> Problem {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    let detail = format!("{url}: {error}{}", source.unwrap_or_default());
    match error {
        ImportError::File(error) => of_file(error),
        ImportError::NotEmpty => Problem::new(Code::Exists, detail)
            .hint("name an empty store with --into, as in --into sled:/PATH"),
        ImportError::Another { .. } | ImportError::VersionsBehind { .. } | ImportError::Diverged { .. } => {
            Problem::new(Code::State, detail).hint("name an empty store with --into, or remove this one")
        }
        ImportError::Read(_) | ImportError::Commit(_) => Problem::new(Code::Unavailable, detail)
            .hint("import the same file again: it goes on where it was"),
    }
}
