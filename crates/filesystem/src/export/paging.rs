//! An export that is read page by page, from a backend that can read pages of one point.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use futures::stream::BoxStream;

use super::ahead::{Items, PageRead, PageSource, read_ahead};
use super::{ExportCounts, ExportPoint, Exported};
use crate::{Entry, Key, LogHead, Logged, Position, ReadError, Stream};

/// Reads pages of one point. Dropping it ends the export.
///
/// What is damaged is an error item of its page; an error of a page ends the export.
pub(crate) trait Pages: Send + 'static {
    /// The point.
    fn point(&self) -> ExportPoint;

    /// Records behind a key, in order.
    fn records(&mut self, after: Option<Key>) -> impl Future<Output = Result<RecordsPage, ReadError>> + Send;

    /// Logs behind a log, in order; nothing only at the end.
    fn heads(
        &mut self,
        after: Option<Stream>,
    ) -> impl Future<Output = Result<Vec<(Stream, LogHead)>, ReadError>> + Send;

    /// Entries of a log behind a position, in order: as many as fit, but one at least.
    fn entries(
        &mut self,
        log: &Stream,
        head: &LogHead,
        after: Position,
    ) -> impl Future<Output = Result<Vec<Result<Logged, ReadError>>, ReadError>> + Send;
}

/// Some records, and where to go on.
#[derive(Debug)]
pub(crate) struct RecordsPage {
    pub(crate) items: Vec<Result<Entry, ReadError>>,
    /// The last key looked at; none at the end.
    pub(crate) next: Option<Key>,
}

/// The export of what can be read so, begun when it is first polled, and let go when nobody takes an item for `idle`.
pub(crate) fn paged<P: Pages>(
    begin: impl Future<Output = Result<P, ReadError>> + Send + 'static,
    idle: Duration,
) -> BoxStream<'static, Result<Exported, ReadError>> {
    let first = async {
        match begin.await {
            Ok(pages) => (vec![Ok(Exported::Point(pages.point()))], Some(Paging::of(pages))),
            Err(error) => (vec![Err(error)], None),
        }
    };
    read_ahead(first, idle)
}

/// What is read next.
#[derive(Debug)]
enum Step {
    Records(Option<Key>),
    Heads(Option<Stream>),
    Entries {
        log: Stream,
        head: LogHead,
        after: Position,
    },
    End,
    Over,
}

struct Paging<P> {
    pages: P,
    step: Step,
    /// What was read and is not handed out.
    ready: Items,
    /// Heads read, whose entries are not.
    heads: VecDeque<(Stream, LogHead)>,
    counts: ExportCounts,
    is_damaged: bool,
}

impl<P: Pages> PageSource for Paging<P> {
    async fn next(mut self) -> PageRead<Self> {
        // Ends with items, or at the end.
        while self.ready.is_empty() && !self.is_over() {
            if let Err(error) = self.fill().await {
                self.step = Step::Over;
                self.ready.push(Err(error));
            }
        }
        let items = std::mem::take(&mut self.ready);
        // What it reads from goes with the last page, and not when somebody asks for one behind it.
        let rest = (!self.is_over()).then_some(self);
        (items, rest)
    }
}

impl<P: Pages> Paging<P> {
    fn of(pages: P) -> Self {
        Self {
            pages,
            step: Step::Records(None),
            ready: Vec::new(),
            heads: VecDeque::new(),
            counts: ExportCounts::default(),
            is_damaged: false,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.step, Step::Over)
    }

    async fn fill(&mut self) -> Result<(), ReadError> {
        match std::mem::replace(&mut self.step, Step::Over) {
            Step::Records(after) => {
                let page = self.pages.records(after).await?;
                self.step = match page.next {
                    Some(next) => Step::Records(Some(next)),
                    None => Step::Heads(None),
                };
                self.take(page.items.into_iter().map(|item| item.map(Exported::Record)));
            }
            Step::Heads(after) => {
                self.heads = self.pages.heads(after).await?.into();
                self.next_log(None);
            }
            Step::Entries { log, head, after } => {
                let entries = self.pages.entries(&log, &head, after).await?;
                let after = Position::new(after.get() + entries.len() as u64);
                self.take(entries.into_iter().map(|item| item.map(Exported::Logged)));
                self.go_on(log, head, after);
            }
            Step::End if self.is_damaged => {}
            Step::End => self.ready.push(Ok(Exported::End(self.counts))),
            Step::Over => {}
        }
        Ok(())
    }

    /// Reads on in a log, or in the next one.
    fn go_on(&mut self, log: Stream, head: LogHead, after: Position) {
        if self.is_over() && self.ready.last().is_some_and(is_last) {
            return;
        }
        if after.next() < head.next {
            self.step = Step::Entries { log, head, after };
        } else {
            self.next_log(Some(log));
        }
    }

    /// The next log of those read; where there is none the next page of them, behind the last.
    fn next_log(&mut self, last: Option<Stream>) {
        let Some((log, head)) = self.heads.pop_front() else {
            self.step = last.map_or(Step::End, |last| Step::Heads(Some(last)));
            return;
        };
        let item = Exported::Log {
            log: log.clone(),
            head,
        };
        self.take(std::iter::once(Ok(item)));
        self.go_on(log, head, Position::new(head.first.get() - 1));
    }

    /// Hands items out, as far as they can be read: what is damaged stands in its place, any other error is the last.
    fn take(&mut self, items: impl Iterator<Item = Result<Exported, ReadError>>) {
        for item in items {
            match &item {
                Ok(item) => self.counts.count(item),
                Err(ReadError::Corrupt { .. }) => self.is_damaged = true,
                Err(_) => {
                    self.ready.push(item);
                    self.step = Step::Over;
                    return;
                }
            }
            self.ready.push(item);
        }
    }
}

/// Whether nothing follows an item.
fn is_last(item: &Result<Exported, ReadError>) -> bool {
    !matches!(item, Ok(_) | Err(ReadError::Corrupt { .. }))
}
