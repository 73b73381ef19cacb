//! Reading ahead: the next page of an export is read while one is handed out, by a task of its own.
//!
//! A page that was begun is read to its end, whether its consumer comes back for it or not: what reads it has a limit of
//! time, holds one of few readers, or a connection with an answer in it. Between pages what they are read from is
//! [`Held`], and let go when nobody takes an item for too long.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::vec;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream};
use tokio_util::task::AbortOnDropHandle;

use super::Exported;
use super::held::{Held, Lent};
use crate::ReadError;

/// Items, some at a time.
pub(crate) type Items = Vec<Result<Exported, ReadError>>;

/// The items of a page, and what the next is read from; none behind the last.
pub(crate) type PageRead<S> = (Items, Option<S>);

/// What pages are read from, one after the other. Dropping it ends the export.
pub(crate) trait PageSource: Send + Sized + 'static {
    /// The next page.
    fn next(self) -> impl Future<Output = PageRead<Self>> + Send;
}

/// Hands out the items of pages, of which the first comes with what the others are read from. Begun when it is first
/// polled; held for `idle` while nobody takes an item.
pub(crate) fn read_ahead<S: PageSource>(
    first: impl Future<Output = PageRead<S>> + Send + 'static,
    idle: Duration,
) -> BoxStream<'static, Result<Exported, ReadError>> {
    let ahead = ReadAhead {
        held: Held::lent(idle),
        page: Vec::new().into_iter(),
        next: Next::Unbegun(Box::pin(first)),
        watching: None,
    };
    ahead.boxed()
}

/// The next page is read while one is handed out: from its first item on, if it has more.
///
/// Dropped between two pages what they are read from is dropped at once; while one is read, as soon as the runtime comes
/// to it.
struct ReadAhead<S: PageSource> {
    held: Arc<Held<S>>,
    page: vec::IntoIter<Result<Exported, ReadError>>,
    next: Next<S>,
    /// Who lets go of what is held.
    watching: Option<AbortOnDropHandle<()>>,
}

/// The page behind the one that is handed out.
enum Next<S> {
    /// The first of all.
    Unbegun(BoxFuture<'static, PageRead<S>>),
    /// Not begun.
    Unread,
    /// Being read.
    Read(AbortOnDropHandle<Items>),
    /// There is none.
    Over,
}

impl<S: PageSource> ReadAhead<S> {
    /// Begins to read the next page, if it is not begun and there is one to be had.
    fn begin(&mut self) {
        self.next = match std::mem::replace(&mut self.next, Next::Over) {
            Next::Unbegun(first) => {
                let watch = Arc::clone(&self.held).watch();
                self.watching = Some(AbortOnDropHandle::new(tokio::spawn(watch)));
                self.read(first)
            }
            Next::Unread => match self.held.lend() {
                Lent::Source(source) => self.read(source.next()),
                Lent::Over => Next::Over,
                Lent::LetGo => Next::Unread,
            },
            begun @ (Next::Read(_) | Next::Over) => begun,
        };
    }

    fn read(&self, page: impl Future<Output = PageRead<S>> + Send + 'static) -> Next<S> {
        let held = Arc::clone(&self.held);
        Next::Read(AbortOnDropHandle::new(tokio::spawn(async move {
            let (items, rest) = page.await;
            held.give_back(rest);
            items
        })))
    }

    /// Nobody took an item for too long: what was read of it is forgotten too.
    fn cut(&mut self) -> ReadError {
        self.page = Vec::new().into_iter();
        self.next = Next::Over;
        ReadError::ExportIdle {
            idle: self.held.idle(),
        }
    }
}

impl<S: PageSource> Stream for ReadAhead<S> {
    type Item = Result<Exported, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Ends with an item, with the pages, or while one is read.
        loop {
            if self.page.len() == 0 && matches!(self.next, Next::Over) {
                self.watching = None;
                return Poll::Ready(None);
            }
            if !self.held.is_wanted() {
                return Poll::Ready(Some(Err(self.cut())));
            }
            if let Some(item) = self.page.next() {
                if self.page.len() > 0 {
                    self.begin();
                }
                return Poll::Ready(Some(item));
            }
            self.begin();
            if let Next::Read(reading) = &mut self.next {
                let page = ready!(Pin::new(reading).poll(context));
                (self.page, self.next) = match page {
                    Ok(items) => (items.into_iter(), Next::Unread),
                    // It panicked, or the runtime ends.
                    Err(error) => (vec![Err(unread(error))].into_iter(), Next::Over),
                };
            }
        }
    }
}

impl<S: PageSource> Drop for ReadAhead<S> {
    fn drop(&mut self) {
        self.held.let_go();
    }
}

fn unread(error: tokio::task::JoinError) -> ReadError {
    ReadError::Unavailable {
        reason: "the task that reads ahead",
        source: Some(Box::new(error)),
    }
}
