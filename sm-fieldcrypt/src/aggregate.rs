//! Many uses as few events: what a scan of a million rows tells an audit stream.

use crate::clock::{Clock, SystemClock};
use crate::observe::{KeyUse, KeyUseObserver, Operation, Outcome, Refused};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Identities that are summed up at a time; beyond them every use is an event, so that memory has a bound.
const MOST: usize = 4096;

/// Passes the first use of each kind on at once, and those that follow within a window as one event with their sum. Kinds
/// are told apart by principal, key, class, tenant, operation, outcome and trace id, so no count moves to anybody else's.
///
/// The first use is asked of the observer behind it as without this, so that a fail-closed one can refuse; what is summed up
/// is reported later, and can then no longer be refused. A sum that is refused all the same is kept and reported again after
/// another window, and uses of its kind are asked for one by one until one is taken. Sums go out when their window is over and
/// *something* is observed, with [`flush`](Self::flush), and on drop: flush from a timer, and before the process ends. A process that is
/// killed loses the sums of its last window. [`Outcome::Attempted`] and all that changes or wraps keys is never summed up.
pub struct AggregatingObserver {
    behind: Arc<dyn KeyUseObserver>,
    clock: Arc<dyn Clock>,
    window: u64,
    sums: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    of: HashMap<Kind, Sum>,
    /// When the first window is over; before, nobody looks through all.
    due: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    principal: String,
    key_id: String,
    class: String,
    tenant: Option<String>,
    operation: Operation,
    outcome: Outcome,
    trace_id: Option<String>,
}

struct Sum {
    since: u64,
    /// Uses that were not reported yet.
    count: u64,
    /// What the key had been used for before the first of them.
    usage_count: u64,
    /// The observer behind has taken one of this kind in this window: the next are summed up.
    taken: bool,
}

impl Kind {
    fn of(key_use: &KeyUse<'_>) -> Self {
        Self {
            principal: key_use.principal.into(),
            key_id: key_use.key_id.into(),
            class: key_use.class.into(),
            tenant: key_use.tenant.map(Into::into),
            operation: key_use.operation,
            outcome: key_use.outcome,
            trace_id: key_use.trace_id.map(Into::into),
        }
    }

    fn key_use(&self, sum: &Sum) -> KeyUse<'_> {
        let (principal, key_id) = (&self.principal, &self.key_id);
        KeyUse {
            tenant: self.tenant.as_deref(),
            outcome: self.outcome,
            trace_id: self.trace_id.as_deref(),
            count: sum.count,
            usage_count: sum.usage_count,
            ..KeyUse::new(principal, key_id, &self.class, self.operation)
        }
    }
}

impl AggregatingObserver {
    /// Sums up for `behind` over windows of so many seconds.
    #[must_use]
    pub fn new(behind: Arc<dyn KeyUseObserver>, window_seconds: u64) -> Self {
        Self {
            behind,
            clock: Arc::new(SystemClock),
            window: window_seconds,
            sums: Mutex::default(),
        }
    }

    /// Another clock than the operating system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Reports all that is summed up.
    ///
    /// # Errors
    /// The first refusal of the observer behind. All are reported, and what was refused is kept.
    pub fn flush(&self) -> Result<(), Refused> {
        self.report(self.clock.unix_seconds(), |_| true)
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports the sums that are due and count something.
    fn report(&self, now: u64, is_due: impl Fn(&Sum) -> bool) -> Result<(), Refused> {
        let due: Vec<(Kind, Sum)> = {
            let mut sums = self.lock();
            let due = sums.of.extract_if(|_, sum| is_due(sum)).collect();
            sums.due = sums.of.values().map(|sum| self.end_of(sum)).min();
            due
        };
        // The observer behind is not called under the lock.
        let mut result = Ok(());
        for (kind, sum) in due.into_iter().filter(|(_, sum)| sum.count > 0) {
            let reported = self.behind.observe(&kind.key_use(&sum));
            if reported.is_err() {
                self.keep(kind, &sum, now);
            }
            result = result.and(reported);
        }
        result
    }

    /// Takes back a sum that was refused.
    fn keep(&self, kind: Kind, refused: &Sum, now: u64) {
        let mut sums = self.lock();
        let sum = sums.of.entry(kind).or_insert(Sum {
            since: now,
            count: 0,
            usage_count: refused.usage_count,
            taken: false,
        });
        sum.count = sum.count.saturating_add(refused.count);
        sum.usage_count = sum.usage_count.min(refused.usage_count);
        sum.taken = false;
        let end = self.end_of(sum);
        sums.due = Some(sums.due.map_or(end, |due| due.min(end)));
    }

    fn end_of(&self, sum: &Sum) -> u64 {
        sum.since.saturating_add(self.window)
    }

    /// What was summed up for others is theirs: its refusal is no answer to the use at hand.
    fn report_due(&self, now: u64) {
        // A clock that went back ends a window as well.
        let is_over = |end: u64| now >= end || end > now.saturating_add(self.window);
        if self.lock().due.is_some_and(is_over) {
            let _ = self.report(now, |sum| is_over(self.end_of(sum)));
        }
    }
}

fn is_summed_up(key_use: &KeyUse<'_>) -> bool {
    let often = matches!(
        key_use.operation,
        Operation::Prepare
            | Operation::Seal
            | Operation::Open
            | Operation::Rewrap
            | Operation::Index
            | Operation::Search
    );
    often && key_use.outcome != Outcome::Attempted
}

impl KeyUseObserver for AggregatingObserver {
    fn observe(&self, key_use: &KeyUse<'_>) -> Result<(), Refused> {
        let now = self.clock.unix_seconds();
        self.report_due(now);
        if !is_summed_up(key_use) {
            return self.behind.observe(key_use);
        }
        let kind = Kind::of(key_use);
        if let Some(sum) = self.lock().of.get_mut(&kind).filter(|sum| sum.taken) {
            if sum.count == 0 {
                sum.usage_count = key_use.usage_count;
            }
            sum.count = sum.count.saturating_add(key_use.count);
            return Ok(());
        }
        self.behind.observe(key_use)?;
        // From here on the observer behind has taken one.
        let mut sums = self.lock();
        let is_room = sums.of.len() < MOST;
        match sums.of.get_mut(&kind) {
            Some(sum) => sum.taken = true,
            None if is_room => {
                let sum = Sum {
                    since: now,
                    count: 0,
                    usage_count: 0,
                    taken: true,
                };
                let end = self.end_of(&sum);
                sums.of.insert(kind, sum);
                sums.due = Some(sums.due.map_or(end, |due| due.min(end)));
            }
            None => {}
        }
        Ok(())
    }
}

impl Drop for AggregatingObserver {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

impl fmt::Debug for AggregatingObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregatingObserver")
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
