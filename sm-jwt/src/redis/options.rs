//! How a Redis server is to be used.

use std::net::IpAddr;
use std::time::Duration;

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::error::Error;

/// The longest prefix of key names, in bytes.
const MAX_PREFIX: usize = 128;
/// The most that clocks may be said to differ, in seconds: a larger difference is a broken clock.
const MAX_SKEW: u64 = 600;
/// The longest timeout.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// What is counted on after the Redis server ended and started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Persistence {
    /// Nothing: when the server starts anew, or another one takes its place, entries may be missing, and tokens that were
    /// issued before are refused.
    #[default]
    NotAssumed,
    /// Every entry that was acknowledged: `appendonly yes`, `appendfsync always`, `no-appendfsync-on-rewrite no`, and no
    /// replica that could take the server's place. A server that says otherwise is refused; what it does not let a client
    /// ask (`CONFIG GET`) is taken on trust.
    ///
    /// An entry is then on disk before it is acknowledged, and a restart refuses nothing. That is as true as the disk's
    /// flushes are; and after an append-only file was truncated, or put back from a copy, the store's marker must be
    /// deleted by hand. So must it when the log was switched off and on again in a running server: until the rewrite that
    /// follows has ended, a crash brings back the old log, and nothing tells.
    Always,
}

/// How a [`RedisStore`](crate::RedisStore) uses its server. The defaults suit a server that is asked over a local network.
#[derive(Debug, Clone)]
#[must_use]
pub struct RedisOptions {
    pub(super) prefix: String,
    pub(super) persistence: Persistence,
    pub(super) skew: Duration,
    pub(super) clock_tolerance: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
    pub(super) plaintext: bool,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl RedisOptions {
    /// The defaults: prefix `sm-jwt:`, persistence not assumed, skew of 30 seconds, clock tolerance of 10, a second to
    /// connect and a second to answer.
    pub fn new() -> Self {
        Self {
            prefix: "sm-jwt:".to_owned(),
            persistence: Persistence::NotAssumed,
            skew: Duration::from_secs(30),
            clock_tolerance: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
            plaintext: false,
        }
    }

    /// What all key names begin with, at most 128 bytes. Stores with the same prefix in the same database of a server are
    /// one store, whoever opens them.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What is counted on after a restart of the server.
    pub fn persistence(mut self, persistence: Persistence) -> Self {
        self.persistence = persistence;
        self
    }

    /// How far an issuer's clock may run ahead of the verifiers': their leeway or more. After a loss of data, tokens are
    /// refused that were issued up to this long later, clock tolerance included. At most 600 seconds.
    pub fn skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }

    /// How far this process's clock and the server's may differ: every call checks it. Entries are kept that much longer.
    /// At most 600 seconds.
    pub fn clock_tolerance(mut self, tolerance: Duration) -> Self {
        self.clock_tolerance = tolerance;
        self
    }

    /// How long a call waits for a new connection, the checks of the server included. At most a minute.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a call waits for an answer. At most a minute.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Allows `redis://` to a server on another machine. Whoever can change what travels there decides which tokens are
    /// accepted: only for a network that protects it by other means.
    pub fn allow_plaintext(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// The seconds that [`since`](crate::LostData::since) lies after the loss was seen. Times have whole seconds: a token
    /// of the very last of them may have been consumed before.
    pub(super) fn margin(&self) -> u64 {
        whole_seconds(self.skew)
            .saturating_add(self.tolerance())
            .saturating_add(1)
    }

    /// The clock tolerance in seconds.
    pub(super) fn tolerance(&self) -> u64 {
        whole_seconds(self.clock_tolerance)
    }

    /// The client for a URL, nothing connected yet.
    pub(super) fn client(&self, url: &str) -> Result<Client, Error> {
        self.check()?;
        // The URL may hold a password: no error repeats it.
        let info = url
            .into_connection_info()
            .map_err(|error| Error::Config(format!("the URL of the Redis server: {error}")))?;
        self.check_address(info.addr())?;
        // The newer protocol tells of a connection that ends while nothing is asked.
        let settings = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3);
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info: ConnectionInfo = info.set_redis_settings(settings).set_tcp_settings(tcp);
        Client::open(info).map_err(|error| Error::Config(format!("the Redis client: {error}")))
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |why: &str| Err(Error::Config(why.to_owned()));
        if self.prefix.len() > MAX_PREFIX {
            return wrong("a prefix of Redis keys is at most 128 bytes");
        }
        if whole_seconds(self.skew) > MAX_SKEW || self.tolerance() > MAX_SKEW {
            return wrong("a skew and a clock tolerance are at most 600 seconds");
        }
        let timeouts = [self.connect_timeout, self.response_timeout];
        if timeouts
            .iter()
            .any(|timeout| timeout.is_zero() || *timeout > MAX_TIMEOUT)
        {
            return wrong("a timeout of the Redis server is above zero and at most a minute");
        }
        Ok(())
    }

    fn check_address(&self, address: &ConnectionAddr) -> Result<(), Error> {
        let wrong = |why: &str| Err(Error::Config(why.to_owned()));
        match address {
            ConnectionAddr::Tcp(host, _) if !self.plaintext && !is_loopback(host) => wrong(
                "redis:// leads to another machine: use rediss://, or allow plaintext on purpose",
            ),
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                wrong("a Redis server whose certificate is not checked")
            }
            _ => Ok(()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Rounded up: a part of a second must not let an earlier token in.
fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: RedisOptions, url: &str) -> String {
        match options.client(url).unwrap_err() {
            Error::Config(why) => why,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn plaintext_stays_on_this_machine_unless_allowed() {
        let options = RedisOptions::new;
        for url in [
            "redis://127.0.0.1/",
            "redis://127.8.9.1:7000/3",
            "redis://[::1]:6379",
            "redis://localhost",
            "redis://LOCALHOST:1",
            "unix:///run/redis.sock",
        ] {
            assert!(options().client(url).is_ok(), "{url}");
        }
        for url in [
            "redis://10.0.0.1/",
            "redis://redis.bank.example",
            "redis://localhost.bank.example",
            "redis://[2001:db8::1]",
            "valkey://10.0.0.1/",
        ] {
            assert!(refused(options(), url).contains("another machine"), "{url}");
            assert!(options().allow_plaintext().client(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn no_error_repeats_the_password() {
        for url in [
            "http://:secret@127.0.0.1/",
            "redis://:secret@10.0.0.1/",
            "redis://user:secret@127.0.0.1/no-number",
            "redis://:secret@0.0.0.0/",
            "rediss://:secret@127.0.0.1/#insecure",
            "redis:secret",
            "",
        ] {
            assert!(!refused(RedisOptions::new(), url).contains("secret"));
        }
    }

    #[test]
    fn options_have_bounds() {
        let refuse = |options: RedisOptions| assert!(options.client("redis://127.0.0.1").is_err());
        let second = Duration::from_secs(1);
        refuse(RedisOptions::new().prefix("x".repeat(129)));
        refuse(RedisOptions::new().skew(600 * second + Duration::from_nanos(1)));
        refuse(RedisOptions::new().clock_tolerance(601 * second));
        refuse(RedisOptions::new().connect_timeout(Duration::ZERO));
        refuse(RedisOptions::new().response_timeout(61 * second));
    }

    #[test]
    fn parts_of_seconds_count_as_whole_ones() {
        let options = RedisOptions::new()
            .skew(Duration::from_millis(1500))
            .clock_tolerance(Duration::from_millis(1));
        assert_eq!(options.margin(), 2 + 1 + 1);
    }
}
