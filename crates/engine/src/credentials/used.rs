//! On which days secrets were used: written beside the engine's work, never in its way.

use dormouse_secrets::SecretError;
use tokio::time::sleep;

use crate::engine::Engine;
use crate::limits::USED_EVERY;

impl Engine {
    /// Writes each minute on which days secrets were used, and once more at `shutdown`: for whoever owns the store for as
    /// long as there are runs. Where nothing was used, nothing is read.
    pub async fn serve_used(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        // Ends with the shutdown.
        loop {
            let is_over = tokio::select! {
                biased;
                () = &mut shutdown => true,
                () = sleep(USED_EVERY) => false,
            };
            if let Err(error) = self.write_used().await {
                tracing::warn!(%error, "on which days some secrets were used is not written yet");
            }
            if is_over {
                return;
            }
        }
    }

    /// Writes now on which days secrets of this process's tenants were used. Returns how many days there were.
    ///
    /// # Errors
    /// The first tenant's that fails, when the others are done; what was not written waits for the next call.
    pub async fn write_used(&self) -> Result<usize, SecretError> {
        let (mut count, mut failed) = (0, Ok(()));
        for tenant in self.tenants_here() {
            match tenant.credentials.secrets().write_used().await {
                Ok(written) => count += written,
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed.map(|()| count)
    }
}
