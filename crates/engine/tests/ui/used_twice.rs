use dormouse_engine::capability::Approved;
use dormouse_engine::run::Claimed;

struct Publish;

async fn twice(approved: Approved<Publish>, claimed: &Claimed) {
    let _ = approved.dispatch(claimed).await;
    let _ = approved.dispatch(claimed).await;
}

fn main() {}
