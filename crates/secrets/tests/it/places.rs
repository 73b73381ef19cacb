//! A secret's place and its key: one to one.

use dormouse_filesystem::{RecordId, Segment};
use dormouse_secrets::{AgentAt, AgentId, Incarnation, LegacyKey, Place, SecretName};

/// Scopes, and names in each.
const EACH: usize = 1_000;

/// The word of this number over `rest`, which begins with one of `first`; another for each number.
fn word(number: usize, first: &[u8], rest: &[u8]) -> String {
    let mut word = vec![first[number % first.len()]];
    let mut left = number / first.len();
    while left > 0 {
        left -= 1;
        word.push(rest[left % rest.len()]);
        left /= rest.len();
    }
    String::from_utf8(word).unwrap()
}

/// SE-8
#[test]
fn of_a_million_pairs_each_has_its_key_and_no_two_share_one() {
    // Few letters, so that pairs come close to each other.
    let agents = (0..EACH - 1).map(|number| word(number, b"ab_0", b"a_-.0"));
    let agents: Vec<AgentId> = agents.map(|agent| agent.parse().unwrap()).collect();
    let names = (0..EACH).map(|number| word(number, b"AB", b"AB_0"));
    let names: Vec<SecretName> = names.map(|name| SecretName::parse(&name).unwrap()).collect();
    let incarnation = Incarnation::from_u128(7);
    let (mut keys, mut legacy) = (Vec::new(), Vec::new());
    for id in std::iter::once(None).chain(agents.iter().map(Some)) {
        for name in &names {
            let (place, old) = match id.cloned() {
                None => (Place::Shared(name.clone()), format!("s\0{name}")),
                Some(id) => {
                    let old = format!("a\0{id}\0{name}");
                    (Place::Agent(AgentAt { id, incarnation }, name.clone()), old)
                }
            };
            let segments = place.segments();
            let segments: Vec<&str> = segments.iter().map(Segment::as_str).collect();
            assert_eq!(Place::from_segments(&segments).as_ref(), Some(&place));
            keys.push(segments.join("/"));
            assert_eq!(LegacyKey::read(old.as_bytes()), LegacyKey::Scoped(place.to_ref()));
            legacy.push(old);
        }
    }
    for mut keys in [keys, legacy] {
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), EACH * EACH);
    }
}
