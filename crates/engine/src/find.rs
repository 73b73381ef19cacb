//! Finding a row by the beginning of its id.

use dormouse_filesystem::{IndexValue, Query, Record, Records};

use crate::id::{Given, segment};
use crate::{CommandError, PrefixedId};

/// The id that is meant. `by_id` is an index without values, whose entries go on with
/// the id.
pub(crate) async fn resolve<R>(rows: &Records<R>, by_id: R::Index, given: &str) -> Result<R::Id, CommandError>
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
        .limit(2);
    let found = rows.find(&query).await?.rows;
    match &found[..] {
        [] => Err(CommandError::not_found(R::Id::NOUN, &short)),
        [one] => Ok(one.id()),
        [first, second, ..] => Err(CommandError::Ambiguous {
            given: short.to_string(),
            first: first.id().to_string(),
            second: second.id().to_string(),
        }),
    }
}
