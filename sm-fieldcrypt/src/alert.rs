//! Alerts: uses of keys that are unusual in their number, their place or their time.

use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::observe::{KeyUse, KeyUseObserver, Operation, Outcome, Refused};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Seconds of a day.
const DAY: u64 = 86_400;
/// Subjects that a rule counts at a time; the one that came first goes first. Whoever can choose so many names can make a
/// rule forget: count by trace only where trace ids are the service's own.
const MOST: usize = 16_384;

/// By what a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CountBy {
    /// Each key by itself.
    Key,
    /// Each principal by itself, whatever the keys.
    Principal,
    /// Each trace id by itself: one request. Uses without one are counted together.
    Trace,
}

/// When an alert is given. A rule looks at the keys whose id begins with a prefix.
///
/// ```
/// use sm_fieldcrypt::{AlertRule, CountBy, Operation, Outcome};
/// // One request that opens more than a thousand identity numbers.
/// let scan = AlertRule::more_than("bulk read", 1000, 60, CountBy::Trace)
///     .key_prefix("fek://identity_number")
///     .operation(Operation::Open);
/// // Values that do not open: somebody tries.
/// let forged = AlertRule::more_than("forged values", 20, 300, CountBy::Principal).outcome(Outcome::Failed);
/// // Any use between ten at night and six in the morning of China.
/// let night = AlertRule::between("at night", 22 * 3600, 6 * 3600, 8 * 3600);
/// ```
#[derive(Debug, Clone)]
pub struct AlertRule {
    name: String,
    key_prefix: String,
    operation: Option<Operation>,
    outcome: Option<Outcome>,
    kind: RuleKind,
}

#[derive(Debug, Clone)]
enum RuleKind {
    MoreThan {
        values: u64,
        within: u64,
        by: CountBy,
    },
    Between {
        start: u64,
        end: u64,
        offset: i64,
    },
}

impl AlertRule {
    /// More than so many values within so many seconds, a day at most. Attempts are not counted, but by a rule for that outcome.
    #[must_use]
    pub fn more_than(name: &str, values: u64, within_seconds: u64, by: CountBy) -> Self {
        Self::new(
            name,
            RuleKind::MoreThan {
                values,
                within: within_seconds,
                by,
            },
        )
    }

    /// Any use from `start` to before `end`, in seconds of the day of a clock that is `offset` seconds ahead of UTC. A start after the end goes over
    /// midnight. Once an hour for a key and principal.
    #[must_use]
    pub fn between(name: &str, start: u64, end: u64, offset: i64) -> Self {
        Self::new(name, RuleKind::Between { start, end, offset })
    }

    fn new(name: &str, kind: RuleKind) -> Self {
        Self {
            name: name.into(),
            key_prefix: String::new(),
            operation: None,
            outcome: None,
            kind,
        }
    }

    /// Only keys whose id begins so, `fek://identity_number` for instance.
    #[must_use]
    pub fn key_prefix(mut self, prefix: &str) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// Only this operation.
    #[must_use]
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only this outcome.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    fn validate(&self) -> Result<(), Error> {
        let fault = match self.kind {
            _ if self.name.is_empty() => "a rule needs a name",
            RuleKind::MoreThan { within, .. } if !(1..=DAY).contains(&within) => {
                "a rule counts over a second to a day"
            }
            RuleKind::Between { start, end, offset }
                if start >= DAY || end > DAY || start == end || offset.unsigned_abs() >= DAY =>
            {
                "hours of a day are 0 to 86,400 seconds, and the clock's offset is less"
            }
            _ => return Ok(()),
        };
        Err(Error::Config {
            what: format!("alert rule {:?}: {fault}", self.name),
        })
    }

    fn is_about(&self, key_use: &KeyUse<'_>) -> bool {
        let outcome = match self.outcome {
            Some(outcome) => outcome == key_use.outcome,
            None => key_use.outcome != Outcome::Attempted,
        };
        outcome
            && self.operation.is_none_or(|it| it == key_use.operation)
            && key_use.key_id.starts_with(&self.key_prefix)
    }
}

/// What was unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alert<'a> {
    /// The rule's name.
    pub rule: &'a str,
    /// The use that made it.
    pub key_use: KeyUse<'a>,
    /// How many values were counted; of a rule about hours those of this use.
    pub values: u64,
    /// When, Unix seconds.
    pub at: u64,
}

/// Is told of alerts. Called in line: hand it on and return.
pub trait AlertSink: Send + Sync {
    /// An alert.
    fn alert(&self, alert: &Alert<'_>);
}

impl<F: Fn(&Alert<'_>) + Send + Sync> AlertSink for F {
    fn alert(&self, alert: &Alert<'_>) {
        self(alert);
    }
}

/// Watches uses by rules and passes them on. An alert refuses nothing: that is a guard's to do. Stand it before an
/// [`AggregatingObserver`](crate::AggregatingObserver), so that it sees every use in its time.
pub struct AlertingObserver {
    behind: Arc<dyn KeyUseObserver>,
    sink: Arc<dyn AlertSink>,
    clock: Arc<dyn Clock>,
    rules: Vec<(AlertRule, Mutex<Counts>)>,
}

#[derive(Default)]
struct Counts {
    of: HashMap<String, Count>,
    order: VecDeque<String>,
}

#[derive(Default)]
struct Count {
    /// Values by the second in which they were used, the oldest first.
    seconds: VecDeque<(u64, u64)>,
    sum: u64,
    /// No alert before: one is given, and the next when the window has gone by.
    quiet_until: u64,
}

impl AlertingObserver {
    /// Watches by these rules.
    ///
    /// # Errors
    /// [`Error::Config`] for a rule without a name or with an impossible time.
    pub fn new(
        behind: Arc<dyn KeyUseObserver>,
        rules: impl IntoIterator<Item = AlertRule>,
        sink: Arc<dyn AlertSink>,
    ) -> Result<Self, Error> {
        let rules: Vec<AlertRule> = rules.into_iter().collect();
        rules.iter().try_for_each(AlertRule::validate)?;
        Ok(Self {
            behind,
            sink,
            clock: Arc::new(SystemClock),
            rules: rules
                .into_iter()
                .map(|rule| (rule, Mutex::default()))
                .collect(),
        })
    }

    /// Another clock than the operating system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl Counts {
    /// The count of a subject; of too many the one that came first goes.
    fn of(&mut self, subject: String) -> &mut Count {
        if !self.of.contains_key(&subject) {
            while self.order.len() >= MOST {
                let Some(oldest) = self.order.pop_front() else {
                    break;
                };
                self.of.remove(&oldest);
            }
            self.order.push_back(subject.clone());
        }
        self.of.entry(subject).or_default()
    }
}

impl Count {
    fn add(&mut self, now: u64, values: u64, within: u64) {
        // At most 64 slots a window: of a long one some seconds are counted together, at the first of them.
        let slot = within.div_ceil(64);
        match self.seconds.back_mut() {
            Some((second, sum)) if second.saturating_add(slot) > now => {
                *sum = sum.saturating_add(values);
            }
            _ => self.seconds.push_back((now, values)),
        }
        self.sum = self.sum.saturating_add(values);
        while let Some((second, values)) = self.seconds.front()
            && now.saturating_sub(*second) >= within
        {
            self.sum = self.sum.saturating_sub(*values);
            self.seconds.pop_front();
        }
    }
}

/// How many values make an alert of this use, if it does.
fn judge(rule: &AlertRule, counts: &Mutex<Counts>, key_use: &KeyUse<'_>, now: u64) -> Option<u64> {
    if !rule.is_about(key_use) {
        return None;
    }
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    match rule.kind {
        RuleKind::MoreThan { values, within, by } => {
            let subject = match by {
                CountBy::Key => key_use.key_id,
                CountBy::Principal => key_use.principal,
                CountBy::Trace => key_use.trace_id.unwrap_or_default(),
            };
            let count = counts.of(subject.to_owned());
            count.add(now, key_use.count, within);
            if count.sum <= values || now < count.quiet_until {
                return None;
            }
            count.quiet_until = now.saturating_add(within);
            Some(count.sum)
        }
        RuleKind::Between { start, end, offset } => {
            let local = now.saturating_add_signed(offset).checked_rem(DAY)?;
            let inside = match start < end {
                true => (start..end).contains(&local),
                false => local >= start || local < end,
            };
            if !inside {
                return None;
            }
            let count = counts.of(format!("{}\n{}", key_use.key_id, key_use.principal));
            if now < count.quiet_until {
                return None;
            }
            count.quiet_until = now.saturating_add(3600);
            Some(key_use.count)
        }
    }
}

impl KeyUseObserver for AlertingObserver {
    fn observe(&self, key_use: &KeyUse<'_>) -> Result<(), Refused> {
        let now = self.clock.unix_seconds();
        for (rule, counts) in &self.rules {
            // The sink is not called under the lock.
            if let Some(values) = judge(rule, counts, key_use, now) {
                self.sink.alert(&Alert {
                    rule: &rule.name,
                    key_use: *key_use,
                    values,
                    at: now,
                });
            }
        }
        self.behind.observe(key_use)
    }
}

impl fmt::Debug for AlertingObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertingObserver")
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}
