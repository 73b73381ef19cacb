//! Exporting from memory: what is there is copied under the lock, and told without it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::BoxStream;

use super::content::Taken;
use super::log::Log;
use super::{Inner, lock};
use crate::export::{ExportSlot, ExportTaken, PageRead, PageSource, read_ahead};
use crate::{ExportCounts, ExportPoint, Exported, PAGE_MAX, Prefix, ReadError, Stream};

pub(super) fn export(
    inner: Arc<Mutex<Inner>>,
    slot: ExportSlot,
    prefix: Prefix,
    idle: Duration,
) -> BoxStream<'static, Result<Exported, ReadError>> {
    let first = async move {
        match slot.take() {
            Ok(taken) => {
                let mut items = items(lock(&inner).content.below(&prefix));
                let point = items.next().into_iter().map(Ok).collect();
                let untold = Untold {
                    items: Box::new(items),
                    _taken: taken,
                };
                (point, Some(untold))
            }
            Err(error) => (vec![Err(error)], None),
        }
    };
    read_ahead(first, idle)
}

/// What was copied and is not told yet, and the place.
struct Untold {
    items: Box<dyn Iterator<Item = Exported> + Send>,
    _taken: ExportTaken,
}

impl PageSource for Untold {
    async fn next(mut self) -> PageRead<Self> {
        let items: Vec<_> = self.items.by_ref().take(PAGE_MAX).map(Ok).collect();
        let rest = (items.len() == PAGE_MAX).then_some(self);
        (items, rest)
    }
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
