//! The set of a run: what it costs beside few agents and beside many, and beside its two reads alone.

use std::hint::black_box;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use dormouse_filesystem::{Page, Prefix};
use dormouse_secrets::{AgentAt, Need, Secrets, SpawnFor};
use dormouse_tests::measure::{Figure, Samples, Target};

use crate::Context;
use crate::house::{self, House};
use crate::verbs::mean;

/// Sets in one measurement.
const COUNT: usize = 500;
/// Of the 16 secrets that a run sees, half are its agent's own.
const OWN: usize = 8;
const SHARED: usize = 8;
const AGENTS: usize = 100_000;
const TENANTS: usize = 10_000;

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let few = House::sled(&context.folder.join("few")).await;
    fill(&few, 1, 10).await;
    let many = House::sled(&context.folder.join("many")).await;
    let (tenants, agents) = (context.count(TENANTS), context.count(AGENTS));
    fill(&many, tenants, agents / tenants).await;
    let mut samples = Samples::default();
    for _ in 0..context.rounds {
        let count = context.count(COUNT).max(20);
        for (name, house) in [("few", &few), ("many", &many)] {
            let secrets = house.tenant("acme-0");
            samples.push(name, mean(count, |_| set(&secrets, house::agent(0))).await);
        }
        samples.push("bare", mean(count, |_| bare(&few)).await);
    }
    few.close().await;
    many.close().await;
    let figure = |name: String, value, title: &str, against, most| Figure {
        name,
        value: samples.of(value),
        unit: "ms",
        against: Some((title.to_owned(), samples.of(against))),
        target: Target::AtMost(most),
    };
    let beside = format!("spawn_set of 16, {agents} agents of {tenants} tenants");
    vec![
        figure(beside, "many", "10 agents of one tenant", "few", 1.2),
        figure(
            "spawn_set of 16, sled, warm".to_owned(),
            "few",
            "two range reads and 16 AEAD opens",
            "bare",
            1.5,
        ),
    ]
}

/// In every tenant as many agents with one secret each; the first agent of the first has eight, and eight are shared.
async fn fill(house: &House, tenants: usize, agents: usize) {
    let first = house.tenant("acme-0");
    // Makes the tenant's ring, once.
    house::put(&first, &house::shared(0)).await;
    let shared = (0..SHARED).map(|number| (first.clone(), house::shared(number)));
    let own = (0..OWN).map(|number| (first.clone(), house::own(0, number)));
    house::put_all(shared.chain(own)).await;
    for chunk in 0..agents {
        let others = (0..tenants).filter(|tenant| (*tenant, chunk) != (0, 0));
        let others = others.map(|tenant| (house.tenant(&format!("acme-{tenant}")), house::own(chunk, 0)));
        house::put_all(others).await;
    }
}

async fn set(secrets: &Secrets, agent: AgentAt) {
    let run = SpawnFor {
        run: "run_bench".to_owned(),
        session: None,
        expires_at: house::now() + jiff::SignedDuration::from_hours(1),
    };
    let set = secrets
        .spawn_set(&house::call(), &agent, &Need::All, &run, Vec::new())
        .await;
    assert_eq!(set.expect("the vault is open").names.len(), OWN + SHARED);
}

/// What no set can do without: both ranges, and the opening of each value.
async fn bare(house: &House) {
    let incarnation = format!("{:032x}", 7);
    for range in ["shared".to_owned(), format!("agent/agent-0/{incarnation}")] {
        let prefix = Prefix::parse(&format!("t/acme-0/r/secret/{range}")).expect("a prefix");
        let listed = house
            .store
            .list(&Page::of(prefix))
            .await
            .expect("the store is whole");
        assert_eq!(listed.items.len(), OWN);
    }
    let cipher = XChaCha20Poly1305::new(&[7; 32].into());
    let nonce = XNonce::from([9; 24]);
    let sealed = sealed(&cipher, &nonce);
    for _ in 0..OWN + SHARED {
        let payload = Payload {
            msg: &sealed,
            aad: &[1; 64],
        };
        black_box(cipher.decrypt(&nonce, payload).expect("it was sealed so"));
    }
}

fn sealed(cipher: &XChaCha20Poly1305, nonce: &XNonce) -> Vec<u8> {
    let payload = Payload {
        msg: &[3; 36],
        aad: &[1; 64],
    };
    cipher.encrypt(nonce, payload).expect("it is short")
}
