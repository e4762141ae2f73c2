//! What goes wrong between this process and the server.

use redis::RedisError;

use crate::error::StoreError;

/// What only a member of a cluster answers.
const CLUSTER: [&str; 5] = ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "CROSSSLOT"];

/// Why a call had no answer. Every case refuses the token.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    #[error("the Redis server has no memory left for another entry")]
    Full,
    #[error("{0}")]
    WrongSetup(String),
    #[error("the Redis server is a replica")]
    Replica,
    #[error("the Redis server did not answer in time")]
    TimedOut,
    #[error("the Redis server gave an answer that cannot be read: {0}")]
    Answer(&'static str),
    #[error("no tokio runtime to reach the Redis server from")]
    NoRuntime,
    #[error("the Redis server failed or cannot be reached")]
    Redis(#[source] RedisError),
}

impl Failure {
    /// Whether the next call is better off with a new session: one may lead to another server behind the same name.
    pub(super) fn ends_session(&self) -> bool {
        !matches!(self, Self::Full)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::TimedOut;
        }
        // A transaction that fails names what failed inside it.
        let inside = error.clone().into_server_errors().unwrap_or_default();
        let names = |code: &str| inside.iter().any(|(_, error)| error.code() == code);
        if names("OOM") {
            Self::Full
        } else if CLUSTER.into_iter().any(names) {
            Self::WrongSetup("the Redis server is part of a cluster".to_owned())
        } else {
            Self::Redis(error)
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full => Self::Full,
            Failure::WrongSetup(why) => Self::WrongSetup(why),
            other => Self::Unavailable(Box::new(other)),
        }
    }
}
