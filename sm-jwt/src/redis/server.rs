//! What a server says of itself in the same transaction as the call.

use redis::{FromRedisValue, Pipeline, Value};

use super::failure::Failure;
use super::options::{Persistence, RedisOptions};

/// One server in one life and one role. When any of the three fields is another, entries may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Random, new with every start.
    pub(super) run_id: String,
    /// New whenever a replica becomes a master, and whenever a server begins to have replicas.
    pub(super) replication_id: String,
    /// How many keys were thrown away for lack of memory.
    pub(super) evicted: String,
}

/// A server's state.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) identity: Identity,
    pub(super) has_replicas: bool,
    /// Its clock, in seconds since 1970.
    pub(super) seconds: u64,
    is_master: bool,
    is_standalone: bool,
    may_evict: bool,
    /// Asked only with [`Persistence::Always`].
    log: Option<AppendOnlyLog>,
}

#[derive(Debug)]
struct AppendOnlyLog {
    enabled: bool,
    /// `None` where the server does not let this client ask.
    synced: Option<bool>,
}

/// What is asked about a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Questions {
    /// The append-only log: for [`Persistence::Always`].
    pub(super) log: bool,
    /// With `CONFIG GET`, where the server lets this client ask.
    pub(super) config: bool,
}

impl Questions {
    pub(super) fn new(options: &RedisOptions, config_is_allowed: bool) -> Self {
        let log = options.persistence == Persistence::Always;
        Self {
            log,
            config: log && config_is_allowed,
        }
    }

    /// Adds the commands whose answers [`Server::read`] takes.
    pub(super) fn ask(self, pipeline: &mut Pipeline) {
        for section in ["server", "replication", "stats", "memory"] {
            pipeline.cmd("INFO").arg(section);
        }
        pipeline.cmd("TIME");
        if self.log {
            pipeline.cmd("INFO").arg("persistence");
        }
        if self.config {
            for parameter in SYNC_PARAMETERS {
                pipeline.cmd("CONFIG").arg("GET").arg(parameter);
            }
        }
    }
}

/// The parameters that say whether an entry is on disk before it is acknowledged. The second one stops that while the log
/// is rewritten.
pub(super) const SYNC_PARAMETERS: [&str; 2] = ["appendfsync", "no-appendfsync-on-rewrite"];
const SYNC_VALUES: [&str; 2] = ["always", "no"];

impl Server {
    /// Takes the answers off the front of a transaction's.
    pub(super) fn read(
        answers: &mut impl Iterator<Item = Value>,
        questions: Questions,
    ) -> Result<Self, Failure> {
        let server: String = next(answers)?;
        let replication: String = next(answers)?;
        let stats: String = next(answers)?;
        let memory: String = next(answers)?;
        let (seconds, _micros): (u64, u64) = next(answers)?;
        let mut log = None;
        if questions.log {
            let persistence: String = next(answers)?;
            log = Some(AppendOnlyLog {
                enabled: field(&persistence, "aof_enabled")? == "1",
                synced: None,
            });
        }
        if questions.config {
            let mut synced = true;
            for (name, wanted) in SYNC_PARAMETERS.into_iter().zip(SYNC_VALUES) {
                let found: Vec<(String, String)> = next(answers)?;
                // A server that does not know the parameter says nothing.
                synced &= found.iter().any(|(n, value)| n == name && value == wanted);
            }
            if let Some(log) = &mut log {
                log.synced = Some(synced);
            }
        }
        // Valkey has another name for it.
        let mode = field(&server, "redis_mode").or_else(|_| field(&server, "server_mode"))?;
        Ok(Self {
            identity: Identity {
                run_id: field(&server, "run_id")?.to_owned(),
                replication_id: field(&replication, "master_replid")?.to_owned(),
                evicted: field(&stats, "evicted_keys")?.to_owned(),
            },
            has_replicas: field(&replication, "connected_slaves")? != "0",
            seconds,
            is_master: field(&replication, "role")? == "master",
            is_standalone: mode == "standalone",
            may_evict: field(&memory, "maxmemory")? != "0"
                && field(&memory, "maxmemory_policy")? != "noeviction",
            log,
        })
    }

    /// Whether this is a server at all that a marker can be kept on, and whose clock can be trusted for it. This process's
    /// clock showed `before` when the question was sent and `after` when the answer came.
    pub(super) fn check_role_and_clock(
        &self,
        tolerance: u64,
        before: u64,
        after: u64,
    ) -> Result<(), Failure> {
        if !self.is_standalone {
            return Err(wrong("the Redis server is part of a cluster or a sentinel"));
        }
        if !self.is_master {
            return Err(Failure::Replica);
        }
        let earliest = before.saturating_sub(tolerance);
        let latest = after.max(before).saturating_add(tolerance);
        if self.seconds < earliest || self.seconds > latest {
            let ahead = i128::from(self.seconds).saturating_sub(i128::from(before));
            return Err(Failure::WrongSetup(format!(
                "the Redis server's clock is {ahead} seconds ahead of this process's"
            )));
        }
        Ok(())
    }

    /// Whether it keeps what it is given.
    pub(super) fn check_keeping(&self) -> Result<(), Failure> {
        if self.may_evict {
            return Err(wrong(
                "the Redis server has `maxmemory` and another `maxmemory-policy` than `noeviction`",
            ));
        }
        match &self.log {
            Some(log) if !log.enabled => Err(wrong("the Redis server has `appendonly no`")),
            Some(log) if log.synced == Some(false) => Err(wrong(
                "the Redis server is not set to `appendfsync always` and `no-appendfsync-on-rewrite no`",
            )),
            _ => Ok(()),
        }
    }
}

fn wrong(why: &str) -> Failure {
    Failure::WrongSetup(why.to_owned())
}

/// The next answer.
pub(super) fn next<T: FromRedisValue>(
    answers: &mut impl Iterator<Item = Value>,
) -> Result<T, Failure> {
    let answer = answers.next().ok_or(Failure::Answer("one is missing"))?;
    T::from_redis_value(answer).map_err(|_| Failure::Answer("one has another type"))
}

/// The value of a line `name:value`.
fn field<'a>(info: &'a str, name: &'static str) -> Result<&'a str, Failure> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .filter(|value| !value.is_empty())
        .ok_or(Failure::Answer("a field of INFO is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Questions = Questions {
        log: true,
        config: true,
    };

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    /// Answers of a good server, some of them replaced.
    fn answers(replace: &[(&str, &str)]) -> Vec<Value> {
        let mut all = [
            "# Server\r\nredis_mode:standalone\r\nrun_id:aa\r\ntcp_port:1\r\n",
            "# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_replid:bb\r\nmaster_replid2:00\r\n",
            "# Stats\r\nevicted_keys:0\r\n",
            "# Memory\r\nmaxmemory:0\r\nmaxmemory_human:0B\r\nmaxmemory_policy:noeviction\r\n",
            "1000",
            "aof_enabled:1\r\n",
            "always",
            "no",
        ]
        .map(str::to_owned);
        for (from, to) in replace {
            assert!(all.iter().any(|answer| answer.contains(from)), "{from}");
            all = all.map(|answer| answer.replace(from, to));
        }
        let [
            server,
            replication,
            stats,
            memory,
            time,
            log,
            fsync,
            rewrite,
        ] = all;
        let pair = |name: &str, value: &str| Value::Array(vec![text(name), text(value)]);
        vec![
            text(&server),
            text(&replication),
            text(&stats),
            text(&memory),
            pair(&time, "5"),
            text(&log),
            pair("appendfsync", &fsync),
            pair("no-appendfsync-on-rewrite", &rewrite),
        ]
    }

    fn read(replace: &[(&str, &str)]) -> Result<Server, Failure> {
        Server::read(&mut answers(replace).into_iter(), LOG)
    }

    #[test]
    fn a_good_server_is_read() {
        let server = read(&[]).unwrap();
        let [run_id, replication_id, evicted] = ["aa", "bb", "0"].map(str::to_owned);
        let expected = Identity {
            run_id,
            replication_id,
            evicted,
        };
        assert_eq!(server.identity, expected);
        assert!(!server.has_replicas);
        assert!(server.check_keeping().is_ok());
        assert!(server.check_role_and_clock(0, 1000, 1000).is_ok());
        assert!(
            read(&[("connected_slaves:0", "connected_slaves:2")])
                .unwrap()
                .has_replicas
        );
        assert!(
            read(&[("redis_mode", "server_mode")])
                .unwrap()
                .check_role_and_clock(0, 1000, 1000)
                .is_ok()
        );
    }

    #[test]
    fn what_is_missing_is_an_error() {
        for field in [
            "redis_mode:",
            "run_id:aa",
            "role:",
            "connected_slaves:",
            "master_replid:",
            "evicted_keys:",
            "maxmemory:",
            "aof_enabled:",
        ] {
            assert!(
                matches!(read(&[(field, "other:")]), Err(Failure::Answer(_))),
                "{field}"
            );
        }
        assert!(matches!(read(&[("1000", "soon")]), Err(Failure::Answer(_))));
        for len in 0..answers(&[]).len() {
            let mut few = answers(&[]).into_iter().take(len);
            assert!(Server::read(&mut few, LOG).is_err(), "{len}");
        }
    }

    #[test]
    fn a_server_that_loses_entries_is_refused() {
        let keeps = |replace: &[(&str, &str)]| read(replace).unwrap().check_keeping().is_ok();
        assert!(keeps(&[("maxmemory:0", "maxmemory:1000")]));
        assert!(keeps(&[("noeviction", "allkeys-lru")]));
        for policy in ["allkeys-lru", "volatile-ttl", "other"] {
            assert!(!keeps(&[
                ("maxmemory:0", "maxmemory:1000"),
                ("noeviction", policy)
            ]));
        }
        assert!(!keeps(&[("aof_enabled:1", "aof_enabled:0")]));
        assert!(!keeps(&[("always", "everysec")]));
        assert!(!keeps(&[("always", "no")]));
        // `no` stands for the second parameter alone.
        let mut rewrite = answers(&[]);
        rewrite[7] = Value::Array(vec![text("no-appendfsync-on-rewrite"), text("yes")]);
        let server = Server::read(&mut rewrite.into_iter(), LOG).unwrap();
        assert!(server.check_keeping().is_err());
        // What the server does not tell is taken on trust; what it does not know is not.
        let mut silent = answers(&[]);
        silent[6] = Value::Array(Vec::new());
        let server = Server::read(&mut silent.into_iter(), LOG).unwrap();
        assert!(server.check_keeping().is_err());
        let unasked = Questions {
            log: true,
            config: false,
        };
        let server = Server::read(&mut answers(&[]).into_iter(), unasked).unwrap();
        assert!(server.check_keeping().is_ok());
    }

    #[test]
    fn role_mode_and_clock_are_checked() {
        let check = |replace: &[(&str, &str)], tolerance, before, after| {
            read(replace)
                .unwrap()
                .check_role_and_clock(tolerance, before, after)
        };
        assert!(matches!(
            check(&[("role:master", "role:slave")], 0, 1000, 1000),
            Err(Failure::Replica)
        ));
        assert!(check(&[("standalone", "cluster")], 0, 1000, 1000).is_err());
        assert!(check(&[], 5, 1005, 1006).is_ok());
        assert!(check(&[], 5, 1006, 1006).is_err());
        assert!(check(&[], 5, 990, 995).is_ok());
        assert!(check(&[], 5, 990, 994).is_err());
        // A clock that went back between the two readings.
        assert!(check(&[], 5, 1000, 7).is_ok());
    }
}
