//! Pages over several mounts, merged in order.

use super::route::narrower;
use super::{Mount, Router};
use crate::filling::{Filling, entry_bytes};
use crate::{Item, Key, Listed, LogError, LogHead, Order, Page, Prefix, ReadError, Stream};

/// What is known of several mounts' next pages: all their items up to a key, in order.
struct Merged<T> {
    items: Vec<T>,
    /// No mount's page is known past this key; none when all ended.
    known_to: Option<Key>,
}

impl Router {
    /// One page over the mounts below a prefix: the first items of each, as far as all are known.
    pub(super) async fn list_all(&self, page: &Page) -> Result<Listed, ReadError> {
        page.validate()?;
        let mounts = self.mounts_below(&page.prefix)?;
        if let [mount] = mounts.as_slice() {
            return mount.store.list(&of_mount(mount, page)).await;
        }
        let mut page = page.clone();
        // Ends with a page that has an item, or with the end; each round but the last leaves hidden records behind.
        loop {
            let merged = self.round(&mounts, &page).await?;
            let listed = cut(merged, page.limit)?;
            match &listed.next {
                Some(next) if listed.items.is_empty() => page.after = Some(next.clone()),
                _ => return Ok(listed),
            }
        }
    }

    async fn round(&self, mounts: &[&Mount], page: &Page) -> Result<Merged<Item>, ReadError> {
        let mut merged = Merged {
            items: Vec::new(),
            known_to: None,
        };
        for mount in mounts {
            let listed = mount.store.list(&of_mount(mount, page)).await?;
            merged.items.extend(
                listed
                    .items
                    .into_iter()
                    .filter(|item| self.is_of(mount, item.key())),
            );
            merged.known_to = first(page.order, merged.known_to, listed.next);
        }
        let known_to = merged.known_to.clone();
        merged.items.retain(|item| {
            known_to
                .as_ref()
                .is_none_or(|end| !is_behind(page.order, item.key(), end))
        });
        merged.items.sort_by(|a, b| match page.order {
            Order::Up => a.key().cmp(b.key()),
            Order::Down => b.key().cmp(a.key()),
        });
        Ok(merged)
    }

    /// As [`list_all`](Self::list_all), of logs.
    pub(super) async fn heads_all(
        &self,
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Vec<(Stream, LogHead)>, LogError> {
        let mut filling = Filling::of(limit)?;
        let mounts = self.mounts_below(under)?;
        if let [mount] = mounts.as_slice() {
            let place = narrower(&mount.prefix, under);
            return mount.store.heads(place, after, limit).await;
        }
        let mut after = after.cloned();
        // Ends as lists do.
        loop {
            let mut merged = self.round_of_heads(&mounts, under, after.as_ref(), limit).await?;
            match merged.known_to {
                Some(end) if merged.items.is_empty() => after = Some(Stream::new(end)),
                _ => {
                    let taken = merged
                        .items
                        .iter()
                        .take_while(|(log, _)| filling.takes(log.key().stored().len()));
                    let taken = taken.count();
                    merged.items.truncate(taken);
                    return Ok(merged.items);
                }
            }
        }
    }

    async fn round_of_heads(
        &self,
        mounts: &[&Mount],
        under: &Prefix,
        after: Option<&Stream>,
        limit: usize,
    ) -> Result<Merged<(Stream, LogHead)>, LogError> {
        let mut merged = Merged {
            items: Vec::new(),
            known_to: None,
        };
        for mount in mounts {
            let place = narrower(&mount.prefix, under);
            let heads = mount.store.heads(place, after, limit).await?;
            // A page of heads does not say whether it is the last; one that ended early is.
            let next = heads
                .last()
                .filter(|_| heads.len() == limit)
                .map(|(log, _)| log.key().clone());
            merged.known_to = first(Order::Up, merged.known_to, next);
            merged
                .items
                .extend(heads.into_iter().filter(|(log, _)| self.is_of(mount, log.key())));
        }
        let known_to = merged.known_to.clone();
        merged
            .items
            .retain(|(log, _)| known_to.as_ref().is_none_or(|end| log.key() <= end));
        merged.items.sort_by(|(a, _), (b, _)| a.key().cmp(b.key()));
        Ok(merged)
    }

    /// A store may hold records that another mount hides.
    fn is_of(&self, mount: &Mount, key: &Key) -> bool {
        self.mount_of(key).is_some_and(|own| own.prefix == mount.prefix)
    }
}

fn of_mount(mount: &Mount, page: &Page) -> Page {
    Page {
        prefix: narrower(&mount.prefix, &page.prefix).clone(),
        ..page.clone()
    }
}

/// The one of two ends that comes first in an order; none is no end.
fn first(order: Order, one: Option<Key>, other: Option<Key>) -> Option<Key> {
    match (one, other) {
        (Some(one), Some(other)) if is_behind(order, &one, &other) => Some(other),
        (one, other) => one.or(other),
    }
}

fn is_behind(order: Order, key: &Key, end: &Key) -> bool {
    match order {
        Order::Up => key > end,
        Order::Down => key < end,
    }
}

/// Cuts what was merged to a page, as every store cuts its own.
fn cut(merged: Merged<Item>, limit: usize) -> Result<Listed, ReadError> {
    let mut filling = Filling::of(limit)?;
    let Merged { mut items, known_to } = merged;
    let fits = items
        .iter()
        .take_while(|item| filling.takes(weight(item)))
        .count();
    let is_cut = fits < items.len();
    items.truncate(fits);
    let next = if is_cut {
        items.last().map(|item| item.key().clone())
    } else {
        // Up to there all is known, so the next page begins there and not at the last item.
        known_to
    };
    Ok(Listed { items, next })
}

fn weight(item: &Item) -> usize {
    match item {
        Item::Entry(entry) => entry_bytes(entry),
        Item::Key { key, .. } | Item::Corrupt { key } => key.stored().len(),
    }
}
