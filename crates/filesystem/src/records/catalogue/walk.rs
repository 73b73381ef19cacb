//! Walking over every row of a kind, or every entry of an index, in all namespaces.

use super::kind::Kind;
use crate::namespace::fixed;
use crate::{Item, Key, Page, Prefix, ReadError, RecordStore, Segment, Want};

/// Sorts behind every name that this crate gives below a namespace's root: they are single letters.
const BEHIND_ALL: &str = "zz";

/// One page of what lies below a root.
pub(super) struct Rows {
    pub(super) root: Prefix,
    pub(super) items: Vec<Item>,
}

/// Up to `limit` items at `r/<kind>` or such names, strictly after a key, in the first namespace that has any; none at
/// the end of all.
pub(super) async fn next(
    store: &dyn RecordStore,
    kind: &Kind,
    names: &[&str],
    after: Option<&Key>,
    want: Want,
    limit: usize,
) -> Result<Option<Rows>, ReadError> {
    let depth = kind.owner_segments();
    let mut after = after.cloned();
    let mut root = match &after {
        Some(key) => Some(root_of(key, depth)),
        None => first_root(store, depth).await?,
    };
    // Ends with the namespaces.
    while let Some(here) = root {
        let prefix = names
            .iter()
            .try_fold(here.clone(), |prefix, name| prefix.child(&Segment::parse(name)?));
        let prefix = prefix.map_err(|_| ReadError::Invalid {
            reason: "a kind or index lies too deep",
        })?;
        let page = Page {
            after: after.take(),
            want,
            limit,
            ..Page::of(prefix)
        };
        let listed = store.list(&page).await?;
        if !listed.items.is_empty() {
            return Ok(Some(Rows {
                root: here,
                items: listed.items,
            }));
        }
        root = next_root(store, &here, depth).await?;
    }
    Ok(None)
}

fn root_of(key: &Key, depth: usize) -> Prefix {
    let names: Vec<&str> = key.segments().take((depth * 2).max(1)).collect();
    fixed(&names)
}

async fn first_root(store: &dyn RecordStore, depth: usize) -> Result<Option<Prefix>, ReadError> {
    match depth {
        0 => Ok(Some(fixed(&["s"]))),
        1 => below(store, &fixed(&["t"]), None).await,
        _ => agent_from(store, below(store, &fixed(&["t"]), None).await?).await,
    }
}

async fn next_root(
    store: &dyn RecordStore,
    root: &Prefix,
    depth: usize,
) -> Result<Option<Prefix>, ReadError> {
    let names: Vec<&str> = root.segments().collect();
    match (depth, names.as_slice()) {
        (1, &[_, tenant]) => below(store, &fixed(&["t"]), Some(tenant)).await,
        (2, &[t, tenant, a, agent]) => {
            if let Some(next) = below(store, &fixed(&[t, tenant, a]), Some(agent)).await? {
                return Ok(Some(next));
            }
            agent_from(store, below(store, &fixed(&["t"]), Some(tenant)).await?).await
        }
        _ => Ok(None),
    }
}

/// The first agent of this tenant or a later one.
async fn agent_from(store: &dyn RecordStore, tenant: Option<Prefix>) -> Result<Option<Prefix>, ReadError> {
    let mut tenant = tenant;
    // Ends with the tenants.
    while let Some(here) = tenant {
        let names: Vec<&str> = here.segments().collect();
        if let Some(agent) = below(store, &fixed(&[names[0], names[1], "a"]), None).await? {
            return Ok(Some(agent));
        }
        tenant = below(store, &fixed(&["t"]), Some(names[1])).await?;
    }
    Ok(None)
}

/// The first name below a prefix that has something below it, behind a name: one key is read.
async fn below(
    store: &dyn RecordStore,
    above: &Prefix,
    behind: Option<&str>,
) -> Result<Option<Prefix>, ReadError> {
    let names: Vec<&str> = above.segments().collect();
    let after = behind.map(|name| {
        let path = [&names[..], &[name, BEHIND_ALL]].concat().join("/");
        Key::parse(&path).expect("a root and a name are a key")
    });
    let page = Page {
        after,
        want: Want::Keys,
        limit: 1,
        ..Page::of(above.clone())
    };
    let listed = store.list(&page).await?;
    let first = listed.items.first().map(Item::key);
    Ok(first.map(|key| {
        let names: Vec<&str> = key.segments().take(names.len() + 1).collect();
        fixed(&names)
    }))
}
