//! Exporting from memory: what is there is copied under the lock, and told without it.

use std::sync::{Arc, Mutex};

use futures::stream::BoxStream;
use futures::{StreamExt, stream};

use super::content::Taken;
use super::log::Log;
use super::{Inner, lock};
use crate::export::ExportSlot;
use crate::{ExportCounts, ExportPoint, Exported, Prefix, ReadError, Stream};

pub(super) fn export(
    inner: Arc<Mutex<Inner>>,
    slot: ExportSlot,
    prefix: Prefix,
) -> BoxStream<'static, Result<Exported, ReadError>> {
    let begin = async move {
        let taken = slot.take()?;
        let items = items(lock(&inner).content.below(&prefix));
        // The place is kept as long as the stream.
        Ok(stream::iter(items).map(move |item| {
            let _ = &taken;
            Ok(item)
        }))
    };
    stream::once(begin)
        .flat_map(|begun: Result<_, ReadError>| match begun {
            Ok(items) => items.boxed(),
            Err(error) => crate::export::refused(error),
        })
        .boxed()
}

fn items(taken: Taken) -> impl Iterator<Item = Exported> {
    let Taken {
        version,
        records,
        logs,
    } = taken;
    let counts = ExportCounts {
        records: records.len() as u64,
        logs: logs.len() as u64,
        entries: logs.iter().map(|(_, log)| log.entries().len() as u64).sum(),
    };
    // A store in memory is of one process: it has no id.
    let point = Exported::Point(ExportPoint {
        store: [0; 16],
        version,
    });
    std::iter::once(point)
        .chain(records.into_iter().map(Exported::Record))
        .chain(logs.into_iter().flat_map(log_items))
        .chain(std::iter::once(Exported::End(counts)))
}

fn log_items((log, content): (Stream, Log)) -> impl Iterator<Item = Exported> {
    let head = content.head();
    std::iter::once(Exported::Log { log, head }).chain(content.into_entries().map(Exported::Logged))
}
