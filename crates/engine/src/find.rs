//! Finding a row by the beginning of its id.

use dormouse_filesystem::{IndexValue, Query, Record, Records};

use crate::id::{Given, segment};
use crate::{CommandError, PrefixedId};

/// How many rows of one beginning are looked through for those that who asks can see.
const LOOKED_THROUGH_MAX: usize = crate::limits::PAGE_MAX;

/// The id that is meant. `by_id` is an index without values, whose entries go on with
/// the id.
pub(crate) async fn resolve<R>(rows: &Records<R>, by_id: R::Index, given: &str) -> Result<R::Id, CommandError>
where
    R: Record,
    R::Id: PrefixedId,
{
    resolved(rows, by_id, given, 2, |_| true).await
}

/// The same among the rows that are seen: the others are not there.
pub(crate) async fn resolve_seen<R>(
    rows: &Records<R>,
    by_id: R::Index,
    given: &str,
    sees: impl Fn(&R) -> bool,
) -> Result<R::Id, CommandError>
where
    R: Record,
    R::Id: PrefixedId,
{
    resolved(rows, by_id, given, LOOKED_THROUGH_MAX, sees).await
}

async fn resolved<R>(
    rows: &Records<R>,
    by_id: R::Index,
    given: &str,
    limit: usize,
    sees: impl Fn(&R) -> bool,
) -> Result<R::Id, CommandError>
where
    R: Record,
    R::Id: PrefixedId,
{
    let short = match R::Id::given(given)? {
        Given::Whole(id) => return Ok(id),
        Given::Short(short) => short,
    };
    let from = segment(short.as_str());
    // `g` follows the last digit, so this is the end of all ids that begin so.
    let to = segment(&format!("{}g", short.as_str()));
    let query = Query::of(by_id)
        .range(Some(IndexValue::segment(from)), Some(IndexValue::segment(to)))
        .limit(limit);
    let found = rows.find(&query).await?.rows;
    let mut seen = found.iter().filter(|row| sees(row)).take(2);
    match (seen.next(), seen.next()) {
        (None, _) => Err(CommandError::not_found(R::Id::NOUN, &short)),
        (Some(one), None) => Ok(one.id()),
        (Some(first), Some(second)) => Err(CommandError::Ambiguous {
            given: short.to_string(),
            first: first.id().to_string(),
            second: second.id().to_string(),
        }),
    }
}
