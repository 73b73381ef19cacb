//! Relaying the events of every tenant until it is told to leave.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::observer::Observed;
use super::pump::Pump;
use super::{Observer, Sink};
use crate::core::Core;
use crate::engine::Engine;
use crate::limits::{DUE_RETRY, RELAY_POLL};
use crate::pause::pause;

impl Engine {
    /// Sends the events of every tenant to these sinks until `shutdown`: for whoever owns the store for longer.
    ///
    /// Each sink goes on behind its cursors; one that is new begins with the earliest events that are kept. Where it was is a
    /// row, so that dropping it at any time leaves the rest to the next one. In a store that several processes have, each
    /// may serve the same sinks: one relays a tenant's events to a sink at a time, and another takes over when it is gone.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use async_trait::async_trait;
    /// use dormouse_engine::relay::{Delivery, Sent, Sink, SinkOptions};
    /// use dormouse_engine::{Engine, SinkName};
    ///
    /// #[derive(Debug)]
    /// struct Printed {
    ///     name: SinkName,
    ///     options: SinkOptions,
    /// }
    ///
    /// #[async_trait]
    /// impl Sink for Printed {
    ///     fn name(&self) -> &SinkName {
    ///         &self.name
    ///     }
    ///
    ///     fn options(&self) -> &SinkOptions {
    ///         &self.options
    ///     }
    ///
    ///     async fn send(&self, delivery: &Delivery) -> Sent {
    ///         for event in &delivery.events {
    ///             println!("{} {} {}", delivery.tenant, event.position, event.event.kind);
    ///         }
    ///         Sent::Taken
    ///     }
    /// }
    ///
    /// async fn print_all(engine: &Engine, until: impl Future<Output = ()>) {
    ///     let name = "printed".parse().expect("it is a name");
    ///     let options = SinkOptions::default();
    ///     engine.serve_relay(vec![Arc::new(Printed { name, options })], until).await;
    /// }
    /// ```
    pub async fn serve_relay(&self, sinks: Vec<Arc<dyn Sink>>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        if sinks.is_empty() {
            return shutdown.await;
        }
        let (leave, leaving) = watch::channel(false);
        let mut made = self.made_tenants();
        let (mut at_work, mut served) = (JoinSet::new(), HashSet::new());
        // Ends with the shutdown.
        loop {
            made.borrow_and_update();
            let tenants = tokio::select! {
                biased;
                () = &mut shutdown => break,
                tenants = self.active_tenants() => tenants,
            };
            let wait = match tenants {
                Ok(tenants) => {
                    for tenant in tenants {
                        if served.insert(tenant.clone()) {
                            let core = self.handle(&tenant).core;
                            at_work.spawn(relay(core, sinks.clone(), leaving.clone()));
                        }
                    }
                    // Tenants of other machines come without a hint.
                    (!self.is_exclusive()).then_some(RELAY_POLL)
                }
                Err(error) => {
                    tracing::warn!(%error, "tenants were not found to relay their events; it is tried again");
                    Some(DUE_RETRY)
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                _ = made.changed() => {}
                () = pause(wait) => {}
            }
        }
        leave.send_replace(true);
        // Each ends at once: what it was sending is sent again by the next one.
        while at_work.join_next().await.is_some() {}
    }

    /// Tells these observers of the commits of every tenant until `shutdown`. They are sinks in this process: what is said
    /// of [`serve_relay`](Self::serve_relay) is true here.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use async_trait::async_trait;
    /// use dormouse_engine::event::{EventAt, EventFilter, Glob};
    /// use dormouse_engine::relay::{NotAcknowledged, Observer};
    /// use dormouse_engine::{Engine, SinkName, TenantId};
    ///
    /// #[derive(Debug)]
    /// struct Ends {
    ///     name: SinkName,
    ///     filter: EventFilter,
    /// }
    ///
    /// #[async_trait]
    /// impl Observer for Ends {
    ///     fn name(&self) -> &SinkName {
    ///         &self.name
    ///     }
    ///
    ///     fn filter(&self) -> &EventFilter {
    ///         &self.filter
    ///     }
    ///
    ///     async fn observe(&self, _: &TenantId, events: &[EventAt]) -> Result<(), NotAcknowledged> {
    ///         events.iter().for_each(|event| println!("{}", event.event.subject));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// async fn observe(engine: &Engine, until: impl Future<Output = ()>) {
    ///     let name = "ends".parse().expect("it is a name");
    ///     let filter = EventFilter { kind: Some(Glob::new("run.ended")), ..EventFilter::default() };
    ///     engine.serve_observers(vec![Arc::new(Ends { name, filter })], until).await;
    /// }
    /// ```
    pub async fn serve_observers(
        &self,
        observers: Vec<Arc<dyn Observer>>,
        shutdown: impl Future<Output = ()>,
    ) {
        let sinks = observers.into_iter().map(|observer| {
            let sink: Arc<dyn Sink> = Arc::new(Observed::new(observer));
            sink
        });
        self.serve_relay(sinks.collect(), shutdown).await;
    }
}

/// Relays the events of one tenant to each sink.
async fn relay(core: Arc<Core>, sinks: Vec<Arc<dyn Sink>>, leaving: watch::Receiver<bool>) {
    let (ring, rung) = watch::channel(0);
    let pumps = sinks.into_iter().map(|sink| {
        let pump = Pump::new(&core, sink);
        pump.serve(rung.clone(), leaving.clone())
    });
    tokio::select! {
        _ = join_all(pumps) => {}
        () = hints(&core, &ring) => {}
    }
}

/// Rings for each hint, also one that says that some were missed. It never ends.
async fn hints(core: &Core, ring: &watch::Sender<u64>) {
    // Goes on until it is dropped.
    loop {
        match core.events.watch().await {
            Ok(mut hints) => {
                // What came before the watch is seen too.
                ring.send_modify(|rings| *rings += 1);
                while hints.next().await.is_some() {
                    ring.send_modify(|rings| *rings += 1);
                }
                // The store is closed: nothing comes any more.
                std::future::pending::<()>().await;
            }
            Err(error) => {
                tracing::warn!(%error, "the store gives no hints; its events are looked for now and then");
                sleep(RELAY_POLL).await;
                ring.send_modify(|rings| *rings += 1);
            }
        }
    }
}
