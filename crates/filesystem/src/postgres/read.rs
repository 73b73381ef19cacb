//! Reads: each is one statement, and so one read point.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::arrays::checksum;
use super::failure::unread;
use super::shared::{Question, Shared};
use crate::filling::{Filling, entry_bytes, logged_bytes};
use crate::page;
use crate::{
    Entry, Item, Key, Listed, LogError, LogHead, Logged, Order, PAGE_BYTES_MAX, Page, Position, Predecessor,
    Prefix, ReadError, RecordKind, Stream, Version, Want,
};

/// Above every stored key, whose bytes end with `z`.
const HIGHEST: &str = "~";

/// Longest a read waits for this process's own writes of the same records.
const WRITE_WAIT_MAX: Duration = Duration::from_millis(250);

/// Of a record that this process is just writing, what is read now would be past when it arrives: whoever decides on
/// it would lose, again and again, to a writer that knows its own last version. So the read comes behind the write.
pub(super) async fn get(shared: &Shared, key: &Key) -> Result<Option<Entry>, ReadError> {
    shared
        .queue
        .written(std::slice::from_ref(key), WRITE_WAIT_MAX)
        .await;
    let rows = shared.rows(&shared.sql.get, &[&key.stored()]).await?;
    rows.first().map(|row| entry(row)?.ok_or_corrupt(key)).transpose()
}

pub(super) async fn get_many(shared: &Shared, keys: &[Key]) -> Result<Vec<Option<Entry>>, ReadError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    shared.queue.written(keys, WRITE_WAIT_MAX).await;
    let mut asked: Vec<&str> = keys.iter().map(Key::stored).collect();
    asked.sort_unstable();
    asked.dedup();
    let rows = shared.rows(&shared.sql.get_many, &[&asked]).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let key: String = row.try_get(0).map_err(unread)?;
        found.insert(key, row);
    }
    let read = |key: &Key| {
        let row = found.get(key.stored());
        row.map(|row| entry(row)?.ok_or_corrupt(key)).transpose()
    };
    keys.iter().map(read).collect()
}

/// The versions of these keys, at one read point; keys without a record are left out.
pub(super) async fn versions(shared: &Shared, keys: &[&str]) -> Result<HashMap<String, Version>, ReadError> {
    let rows = shared.rows(&shared.sql.versions, &[&keys]).await?;
    let version = |row: &Row| Ok((row.try_get(0).map_err(unread)?, version(row, 1)?));
    rows.iter().map(version).collect()
}

pub(super) async fn list(shared: &Shared, page: &Page) -> Result<Listed, ReadError> {
    page.validate()?;
    let Some((low, high)) = bounds(page) else {
        return Ok(Listed::default());
    };
    let rows = shared
        .rows(&statement(shared, page), &[&low, &high, &asked(page)])
        .await?;
    listed(&rows, page)
}

/// What a page asks of the server.
struct Asked {
    low: String,
    high: String,
    most: i64,
    /// By a statement of its own; none for keys upwards, which one statement reads of all.
    alone: Option<String>,
}

impl Asked {
    /// None of a page of nothing.
    fn of(shared: &Shared, page: &Page) -> Option<Self> {
        let (low, high) = bounds(page)?;
        let is_plain = page.order == Order::Up && page.want == Want::Keys;
        Some(Self {
            low,
            high,
            most: asked(page),
            alone: (!is_plain).then(|| statement(shared, page)),
        })
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 3] {
        [&self.low, &self.high, &self.most]
    }
}

/// Pages of keys upwards, which most are, by one statement, and each other by one of its own; all are sent before the
/// first is answered.
pub(super) async fn list_many(shared: &Shared, pages: &[Page]) -> Result<Vec<Listed>, ReadError> {
    page::validate_many(pages)?;
    let asked: Vec<Option<Asked>> = pages.iter().map(|page| Asked::of(shared, page)).collect();
    let plain = || asked.iter().flatten().filter(|asked| asked.alone.is_none());
    let lows: Vec<&str> = plain().map(|asked| asked.low.as_str()).collect();
    let highs: Vec<&str> = plain().map(|asked| asked.high.as_str()).collect();
    let mosts: Vec<i64> = plain().map(|asked| asked.most).collect();
    let of_plain: [&(dyn ToSql + Sync); 3] = [&lows, &highs, &mosts];
    let alone: Vec<(&str, [&(dyn ToSql + Sync); 3])> = asked
        .iter()
        .flatten()
        .filter_map(|asked| Some((asked.alone.as_deref()?, asked.parameters())))
        .collect();
    let mut questions: Vec<Question<'_>> = alone
        .iter()
        .map(|(sql, given)| (*sql, given.as_slice()))
        .collect();
    if !lows.is_empty() {
        questions.push((&shared.sql.list_many, &of_plain));
    }
    let mut answers = shared.rows_many(&questions).await?;
    let plain = match lows.is_empty() {
        true => Vec::new(),
        false => answers.pop().expect("each question is answered"),
    };
    let mut plain = by_page(&plain, lows.len())?.into_iter();
    let mut answers = answers.into_iter();
    let listed = pages.iter().zip(&asked).map(|(page, asked)| match asked {
        None => Ok(Listed::default()),
        Some(Asked { alone: None, .. }) => {
            let rows = plain.next().expect("each has its rows");
            filled(rows.into_iter().map(|row| key_item(row, 1).map(Some)), page)
        }
        Some(Asked { alone: Some(_), .. }) => listed(&answers.next().expect("each is answered"), page),
    });
    listed.collect()
}

/// The rows of each of so many pages, of rows that begin with which page they are of.
fn by_page(rows: &[Row], count: usize) -> Result<Vec<Vec<&Row>>, ReadError> {
    let mut pages = vec![Vec::new(); count];
    for row in rows {
        let nth: i64 = row.try_get(0).map_err(unread)?;
        let page = usize::try_from(nth - 1).ok().and_then(|nth| pages.get_mut(nth));
        page.expect("it is numbered from 1, as it was asked").push(row);
    }
    Ok(pages)
}

fn statement(shared: &Shared, page: &Page) -> String {
    shared
        .sql
        .list(page.order == Order::Down, page.want == Want::Entries)
}

/// One row more than the page has, to know whether there is more.
pub(super) fn asked(page: &Page) -> i64 {
    i64::try_from(page.limit).expect("a limit is small") + 1
}

/// Between which keys a page lies; none for a page of nothing.
pub(super) fn bounds(page: &Page) -> Option<(String, String)> {
    let (start, end) = page.prefix.range();
    let (mut low, mut high) = (start, end.unwrap_or_else(|| HIGHEST.to_owned()));
    match (page.order, page.after.as_ref().map(Key::stored)) {
        (Order::Up, Some(after)) if after > low.as_str() => after.clone_into(&mut low),
        (Order::Down, Some(after)) if after < high.as_str() => after.clone_into(&mut high),
        (Order::Up | Order::Down, _) => {}
    }
    (low < high).then_some((low, high))
}

/// The page that these rows are.
pub(super) fn listed(rows: &[Row], page: &Page) -> Result<Listed, ReadError> {
    let taken = |row: &Row| match page.want {
        Want::Keys => key_item(row, 0).map(Some),
        Want::Entries => entry_item(row),
    };
    filled(rows.iter().map(taken), page)
}

/// The page that these are: each with its bytes, none for what was not read.
fn filled(
    rows: impl Iterator<Item = Result<Option<(Item, usize)>, ReadError>>,
    page: &Page,
) -> Result<Listed, ReadError> {
    let mut filling = Filling::of(page.limit)?;
    let mut listed = Listed::default();
    for taken in rows {
        match taken? {
            Some((item, bytes)) if filling.takes(bytes) => listed.items.push(item),
            Some(_) | None => {
                listed.next = listed.items.last().map(|item| item.key().clone());
                break;
            }
        }
    }
    Ok(listed)
}

/// A key and its version, from this column on.
fn key_item(row: &Row, at: usize) -> Result<(Item, usize), ReadError> {
    let key = key_at(row, at)?;
    let bytes = key.stored().len();
    let version = version(row, at + 1)?;
    Ok((Item::Key { key, version }, bytes))
}

/// None when the value did not fit the page and so was not read.
fn entry_item(row: &Row) -> Result<Option<(Item, usize)>, ReadError> {
    Ok(match entry(row)? {
        Stored::Sound(entry) => {
            let bytes = entry_bytes(&entry);
            Some((Item::Entry(entry), bytes))
        }
        Stored::Corrupt { bytes } => Some((Item::Corrupt { key: key(row)? }, bytes)),
        Stored::NotRead => None,
    })
}

enum Stored {
    Sound(Entry),
    /// Its checksum or its kind is wrong.
    Corrupt {
        bytes: usize,
    },
    NotRead,
}

impl Stored {
    fn ok_or_corrupt(self, key: &Key) -> Result<Entry, ReadError> {
        match self {
            Self::Sound(entry) => Ok(entry),
            Self::Corrupt { .. } | Self::NotRead => Err(ReadError::Corrupt { key: key.clone() }),
        }
    }
}

/// Key, version, kind, checksum, value.
fn entry(row: &Row) -> Result<Stored, ReadError> {
    let key = key(row)?;
    let kind: Option<&str> = row.try_get(2).map_err(unread)?;
    let crc: Option<i64> = row.try_get(3).map_err(unread)?;
    let Some(value) = row.try_get::<_, Option<&[u8]>>(4).map_err(unread)? else {
        return Ok(Stored::NotRead);
    };
    let named = kind.and_then(RecordKind::parse);
    Ok(match named {
        Some(kind) if crc == Some(checksum(key.stored(), kind.as_str(), value)) => Stored::Sound(Entry {
            version: version(row, 1)?,
            value: Bytes::copy_from_slice(value),
            key,
            kind,
        }),
        Some(_) | None => Stored::Corrupt {
            bytes: key.stored().len() + kind.map_or(0, str::len) + value.len(),
        },
    })
}

/// Somebody else's row in our table has a name that is none: there is no key to call it by.
fn key(row: &Row) -> Result<Key, ReadError> {
    key_at(row, 0)
}

fn key_at(row: &Row, at: usize) -> Result<Key, ReadError> {
    let stored: &str = row.try_get(at).map_err(unread)?;
    Key::from_stored(stored).map_err(|error| ReadError::Unavailable {
        reason: "a row with a name that is none",
        source: Some(Box::new(error)),
    })
}

pub(super) async fn tail(
    shared: &Shared,
    log: &Stream,
    after: Position,
    limit: usize,
) -> Result<Vec<Logged>, LogError> {
    Filling::of(limit)?;
    let from = i64::try_from(after.get()).unwrap_or(i64::MAX);
    let most = i64::try_from(limit).expect("a limit is small");
    let rows = shared
        .rows(&shared.sql.tail, &[&log.key().stored(), &from, &most])
        .await?;
    tailed(&rows, log, after, limit)
}

/// The tail that these rows are: one position behind the other, from the first asked for.
pub(super) fn tailed(
    rows: &[Row],
    log: &Stream,
    after: Position,
    limit: usize,
) -> Result<Vec<Logged>, LogError> {
    let mut filling = Filling::of(limit)?;
    let (first, next) = match rows.first() {
        Some(row) => (position(row, 0)?, position(row, 1)?),
        None => (Position::FIRST, Position::FIRST),
    };
    if after >= next || after.next() < first {
        return Err(LogError::ReplayGap { first, next });
    }
    let missing = || ReadError::Corrupt {
        key: log.key().clone(),
    };
    let mut tail = Vec::new();
    let mut due = after.next();
    for row in rows {
        match logged(row)? {
            Some(logged) if logged.position != due => return Err(missing().into()),
            Some(logged) if filling.takes(logged_bytes(&logged)) => {
                due = due.next();
                tail.push(logged);
            }
            Some(_) | None => break,
        }
    }
    // Its row says that there is more, and the first is always read.
    if tail.is_empty() && due < next {
        return Err(missing().into());
    }
    Ok(tail)
}

/// None behind the end, and where the value did not fit the tail.
fn logged(row: &Row) -> Result<Option<Logged>, ReadError> {
    let value: Option<&[u8]> = row.try_get(4).map_err(unread)?;
    let Some(value) = value else { return Ok(None) };
    Ok(Some(Logged {
        position: position(row, 2)?,
        version: version(row, 3)?,
        entry: Bytes::copy_from_slice(value),
    }))
}

pub(super) async fn head(shared: &Shared, log: &Stream) -> Result<LogHead, ReadError> {
    let rows = shared.rows(&shared.sql.head, &[&log.key().stored()]).await?;
    rows.first().map_or(Ok(LogHead::NONE), log_head)
}

pub(super) async fn heads(
    shared: &Shared,
    under: &Prefix,
    after: Option<&Stream>,
    limit: usize,
) -> Result<Vec<(Stream, LogHead)>, ReadError> {
    Filling::of(limit)?;
    let Some((low, high)) = bounds_of_logs(under, after) else {
        return Ok(Vec::new());
    };
    let most = i64::try_from(limit).expect("a limit is small");
    let rows = shared.rows(&shared.sql.heads, &[&low, &high, &most]).await?;
    heads_of(&rows, limit)
}

/// Between which names logs lie; none where there can be none.
pub(super) fn bounds_of_logs(under: &Prefix, after: Option<&Stream>) -> Option<(String, String)> {
    let (mut low, high) = under.range();
    let high = high.unwrap_or_else(|| HIGHEST.to_owned());
    if let Some(after) = after
        .map(|after| after.key().stored())
        .filter(|after| *after > low.as_str())
    {
        after.clone_into(&mut low);
    }
    (low < high).then_some((low, high))
}

/// The heads that these rows are.
pub(super) fn heads_of(rows: &[Row], limit: usize) -> Result<Vec<(Stream, LogHead)>, ReadError> {
    let mut filling = Filling::of(limit)?;
    let mut heads = Vec::with_capacity(rows.len());
    for row in rows {
        let name = key(row)?;
        if !filling.takes(name.stored().len()) {
            break;
        }
        heads.push((Stream::new(name), log_head(row)?));
    }
    Ok(heads)
}

/// Stream, incarnation, first, next, bytes, predecessor.
fn log_head(row: &Row) -> Result<LogHead, ReadError> {
    let bytes: i64 = row.try_get(4).map_err(unread)?;
    let predecessor: Option<i64> = row.try_get(5).map_err(unread)?;
    let ended: Option<i64> = row.try_get(6).map_err(unread)?;
    Ok(LogHead {
        incarnation: Some(version(row, 1)?),
        first: position(row, 2)?,
        next: position(row, 3)?,
        bytes: bytes.unsigned_abs(),
        predecessor: predecessor.zip(ended).map(|(incarnation, next)| Predecessor {
            incarnation: Version::new(incarnation.unsigned_abs()),
            next: Position::new(next.unsigned_abs()),
        }),
    })
}

pub(super) async fn bytes(shared: &Shared) -> Result<u64, ReadError> {
    let rows = shared.rows(&shared.sql.bytes, &[]).await?;
    let bytes: Option<i64> = rows
        .first()
        .map(|row| row.try_get(0))
        .transpose()
        .map_err(unread)?;
    Ok(bytes.unwrap_or(0).unsigned_abs())
}

pub(super) fn version(row: &Row, at: usize) -> Result<Version, ReadError> {
    let number: i64 = row.try_get(at).map_err(unread)?;
    Ok(Version::new(number.unsigned_abs()))
}

pub(super) fn position(row: &Row, at: usize) -> Result<Position, ReadError> {
    let number: i64 = row.try_get(at).map_err(unread)?;
    Ok(Position::new(number.unsigned_abs()))
}

// The statements have the page's bytes in their text.
const _: () = assert!(PAGE_BYTES_MAX == 1_048_576);
