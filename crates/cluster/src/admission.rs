//! Deciding to take work: bounds what may be in flight, so that a flood is refused early and
//! in words.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferula_model::TenantId;
use ferula_storage::{Append, AppendError, Batch, Report};
use futures::future::BoxFuture;
use parking_lot::Mutex;

/// Bounds on what is taken in.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionSettings {
    /// Samples of one tenant that may wait for the log at once.
    pub in_flight_samples_max: u64,
}

/// What was decided, counted since the start.
#[derive(Debug, Default)]
pub struct AdmissionStats {
    /// Samples let through.
    pub admitted: AtomicU64,
    /// Samples refused because too many of their tenant's were waiting.
    pub refused: AtomicU64,
}

/// Lets batches through to `next` while their tenant has room.
pub struct Admission {
    settings: AdmissionSettings,
    in_flight: Mutex<HashMap<TenantId, u64>>,
    next: Arc<dyn Append>,
    stats: AdmissionStats,
}

impl Admission {
    /// Admission in front of `next`.
    pub fn new(settings: AdmissionSettings, next: Arc<dyn Append>) -> Self {
        Self {
            settings,
            in_flight: Mutex::default(),
            next,
            stats: AdmissionStats::default(),
        }
    }

    /// What was decided so far.
    pub fn stats(&self) -> &AdmissionStats {
        &self.stats
    }

    fn enter(&self, tenant: &TenantId, samples: u64) -> Result<Ticket<'_>, AppendError> {
        let max = self.settings.in_flight_samples_max;
        let mut in_flight = self.in_flight.lock();
        let held = in_flight.entry(tenant.clone()).or_default();
        // A batch larger than the bound must still fit when nothing else is waiting.
        if *held > 0 && *held + samples > max {
            self.stats.refused.fetch_add(samples, Ordering::Relaxed);
            let why = format!(
                "tenant `{tenant}` has {held} samples waiting to be stored, at most {max} may; \
                 send again later"
            );
            return Err(AppendError::Overloaded { why });
        }
        *held += samples;
        self.stats.admitted.fetch_add(samples, Ordering::Relaxed);
        Ok(Ticket {
            admission: self,
            tenant: tenant.clone(),
            samples,
        })
    }
}

/// Room taken; given back when dropped, also when the caller went away.
struct Ticket<'a> {
    admission: &'a Admission,
    tenant: TenantId,
    samples: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut in_flight = self.admission.in_flight.lock();
        if let Some(held) = in_flight.get_mut(&self.tenant) {
            *held -= self.samples;
            if *held == 0 {
                in_flight.remove(&self.tenant);
            }
        }
    }
}

impl Append for Admission {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Report, AppendError>> {
        Box::pin(async move {
            let samples = (batch.samples.len() + batch.histograms.len()) as u64;
            let _ticket = self.enter(&batch.tenant, samples)?;
            self.next.append(batch).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_storage::{Origin, SampleEntry};
    use futures::FutureExt as _;
    use futures::channel::oneshot;

    /// Answers once told to.
    struct Slow(Mutex<Vec<oneshot::Receiver<()>>>);

    impl Append for Slow {
        fn append(&self, _: Batch) -> BoxFuture<'_, Result<Report, AppendError>> {
            let gate = self.0.lock().pop();
            Box::pin(async move {
                if let Some(gate) = gate {
                    let _ = gate.await;
                }
                Ok(Report::default())
            })
        }
    }

    fn batch(tenant: &str, samples: usize) -> Batch {
        let mut batch = Batch::new(TenantId::new(tenant).unwrap(), Origin::Push);
        batch.samples = vec![
            SampleEntry {
                series: 0,
                timestamp: 0,
                value: 0.0
            };
            samples
        ];
        batch
    }

    #[test]
    fn one_tenant_waiting_does_not_hold_up_another() {
        let (open, gate) = oneshot::channel();
        let settings = AdmissionSettings {
            in_flight_samples_max: 10,
        };
        let admission = Admission::new(settings, Arc::new(Slow(Mutex::new(vec![gate]))));
        let mut first = admission.append(batch("a", 8));
        assert!(first.as_mut().now_or_never().is_none());
        let refused = admission.append(batch("a", 3)).now_or_never();
        assert!(matches!(refused, Some(Err(AppendError::Overloaded { .. }))));
        assert!(matches!(
            admission.append(batch("b", 3)).now_or_never(),
            Some(Ok(_))
        ));
        open.send(()).unwrap();
        assert!(matches!(first.now_or_never(), Some(Ok(_))));
        assert!(matches!(
            admission.append(batch("a", 99)).now_or_never(),
            Some(Ok(_))
        ));
    }
}
