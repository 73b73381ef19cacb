//! Reading ahead: the next page of an export is read while one is handed out, by a task of its own.
//!
//! A page that was begun is read to its end, whether its consumer comes back for it or not: what reads it has a limit of
//! time, holds one of few readers, or a connection with an answer in it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use futures::StreamExt;
use futures::stream::{BoxStream, Stream};
use tokio_util::task::AbortOnDropHandle;

use super::Exported;
use crate::ReadError;

/// Items, some at a time.
pub(super) type Items = Vec<Result<Exported, ReadError>>;
type Pages = BoxStream<'static, Items>;

/// Hands out the items of pages. The next page is read while one is handed out: from its first item on, if it has more.
///
/// Dropped while it reads ahead, that ends as soon as the runtime comes to it.
pub(super) struct ReadAhead {
    page: vec::IntoIter<Result<Exported, ReadError>>,
    next: Next,
}

/// The page behind the one that is handed out.
enum Next {
    /// Not begun.
    Unread(Pages),
    /// Being read; none is the end.
    Read(AbortOnDropHandle<Option<(Items, Pages)>>),
    Over,
}

impl ReadAhead {
    pub(super) fn of(pages: Pages) -> Self {
        Self {
            page: Vec::new().into_iter(),
            next: Next::Unread(pages),
        }
    }

    fn begin(&mut self) {
        self.next = match std::mem::replace(&mut self.next, Next::Over) {
            Next::Unread(mut pages) => Next::Read(AbortOnDropHandle::new(tokio::spawn(async move {
                let items = pages.next().await?;
                Some((items, pages))
            }))),
            begun @ (Next::Read(_) | Next::Over) => begun,
        };
    }

    /// The next page; none at the end.
    fn poll_page(&mut self, context: &mut Context<'_>) -> Poll<Option<Items>> {
        let page = match &mut self.next {
            Next::Unread(pages) => return pages.poll_next_unpin(context),
            Next::Read(reading) => ready!(Pin::new(reading).poll(context)),
            Next::Over => return Poll::Ready(None),
        };
        self.next = Next::Over;
        Poll::Ready(match page {
            Ok(Some((items, pages))) => {
                self.next = Next::Unread(pages);
                Some(items)
            }
            Ok(None) => None,
            // It panicked, or the runtime ends.
            Err(error) => Some(vec![Err(ReadError::Unavailable {
                reason: "the task that reads ahead",
                source: Some(Box::new(error)),
            })]),
        })
    }
}

impl Stream for ReadAhead {
    type Item = Result<Exported, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Ends with an item, or with the pages.
        loop {
            if let Some(item) = self.page.next() {
                if self.page.len() > 0 {
                    self.begin();
                }
                return Poll::Ready(Some(item));
            }
            match ready!(self.poll_page(context)) {
                Some(page) => self.page = page.into_iter(),
                None => {
                    self.next = Next::Over;
                    return Poll::Ready(None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::export::{ExportPoint, Pages, RecordsPage, paged};
    use crate::{Entry, Key, LogHead, Logged, Position, RecordKind, Version};

    /// Longest wait for a page, as of a server.
    const PAGE_TIME_MAX: Duration = Duration::from_secs(60);

    /// Two pages of two records. The second comes in two parts, the later of which is not there before the first was
    /// taken; or it fails.
    struct Two {
        fails: bool,
    }

    fn unavailable(reason: &'static str) -> ReadError {
        ReadError::Unavailable { reason, source: None }
    }

    fn name(of: &str) -> Key {
        Key::parse(of).unwrap()
    }

    fn records(names: [&str; 2], next: Option<&str>) -> RecordsPage {
        let record = |of| {
            Ok(Entry {
                key: name(of),
                value: bytes::Bytes::new(),
                version: Version::new(1),
                kind: RecordKind::of("test"),
            })
        };
        RecordsPage {
            items: names.map(record).into(),
            next: next.map(name),
        }
    }

    impl Pages for Two {
        fn point(&self) -> ExportPoint {
            ExportPoint {
                store: [0; 16],
                version: Version::new(1),
            }
        }

        async fn records(&mut self, after: Option<Key>) -> Result<RecordsPage, ReadError> {
            let in_parts = async {
                sleep(Duration::from_secs(1)).await;
                sleep(Duration::from_secs(1)).await;
            };
            match after {
                None => Ok(records(["a", "b"], Some("b"))),
                Some(_) if self.fails => Err(unavailable("the server")),
                Some(_) => match timeout(PAGE_TIME_MAX, in_parts).await {
                    Ok(()) => Ok(records(["c", "d"], None)),
                    Err(_) => Err(unavailable("too late")),
                },
            }
        }

        async fn heads(
            &mut self,
            _: Option<crate::Stream>,
        ) -> Result<Vec<(crate::Stream, LogHead)>, ReadError> {
            Ok(Vec::new())
        }

        async fn entries(
            &mut self,
            _: &crate::Stream,
            _: &LogHead,
            _: Position,
        ) -> Result<Vec<Result<Logged, ReadError>>, ReadError> {
            Ok(Vec::new())
        }
    }

    fn told(item: Result<Exported, ReadError>) -> String {
        match item {
            Ok(Exported::Record(entry)) => entry.key.to_string(),
            Ok(Exported::Point(_)) => "point".to_owned(),
            Ok(Exported::End(_)) => "end".to_owned(),
            Ok(other) => panic!("{other:?}"),
            Err(ReadError::Unavailable { reason, .. }) => reason.to_owned(),
            Err(other) => panic!("{other}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_is_read_in_its_time_however_late_its_consumer_comes() {
        let mut export = paged(async { Ok(Two { fails: false }) }).map(told);
        assert_eq!(export.next().await.unwrap(), "point");
        assert_eq!(export.next().await.unwrap(), "a");
        sleep(PAGE_TIME_MAX + Duration::from_secs(1)).await;
        let rest: Vec<String> = export.collect().await;
        assert_eq!(rest, ["b", "c", "d", "end"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_of_the_page_read_ahead_comes_behind_what_was_read_and_is_the_last() {
        let mut export = paged(async { Ok(Two { fails: true }) }).map(told);
        assert_eq!(export.next().await.unwrap(), "point");
        assert_eq!(export.next().await.unwrap(), "a");
        // It is read, and failed, by then.
        sleep(Duration::from_secs(1)).await;
        assert_eq!(export.next().await.unwrap(), "b");
        assert_eq!(export.next().await.unwrap(), "the server");
        assert_eq!((export.next().await, export.next().await), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_of_one_item_is_not_read_behind() {
        let mut export = paged(async { Ok(Two { fails: false }) });
        export.next().await.unwrap().unwrap();
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
        export.next().await.unwrap().unwrap();
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 1);
        drop(export);
        tokio::task::yield_now().await;
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    }
}
