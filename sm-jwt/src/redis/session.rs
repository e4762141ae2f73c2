//! One connection to a server, and the transactions on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::vec;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, PushInfo, PushKind, Value, cmd};

use super::failure::Failure;
use super::marker::Marker;
use super::names::Names;
use super::options::{Persistence, RedisOptions};
use super::server::{Questions, SYNC_PARAMETERS, Server};
use crate::clock::Clock;

/// How many commands may wait to be written.
const WAITING: usize = 256;

/// What all sessions of a store share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) options: RedisOptions,
    pub(super) names: Names,
    clock: Arc<dyn Clock>,
    /// The latest second that a server's clock has shown: what ends before has been forgotten.
    latest: AtomicU64,
}

impl Context {
    pub(super) fn new(options: RedisOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            names: Names::new(&options.prefix),
            options,
            clock,
            latest: AtomicU64::new(0),
        }
    }
}

/// What a transaction answered.
pub(super) struct Answer {
    /// The answers to the caller's own commands.
    pub(super) values: vec::IntoIter<Value>,
    /// What the marker says, settled.
    pub(super) marker: Marker,
    /// The latest second that a server's clock has shown to this process.
    pub(super) latest: u64,
    /// What it shows now.
    pub(super) seconds: u64,
}

/// One connection.
pub(super) struct Session {
    connection: MultiplexedConnection,
    /// Set when the connection ends.
    ended: Arc<AtomicBool>,
    /// The server answers `CONFIG GET`.
    config_is_allowed: bool,
}

impl Session {
    /// Connects and checks the server. The caller bounds the time.
    pub(super) async fn open(client: &Client, context: &Context) -> Result<Self, Failure> {
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(context.options.connect_timeout))
            .set_response_timeout(Some(context.options.response_timeout))
            .set_pipeline_buffer_size(WAITING)
            .set_push_sender(move |push: PushInfo| -> Result<(), ()> {
                if push.kind == PushKind::Disconnection {
                    end.store(true, Ordering::Release);
                }
                Ok(())
            });
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut session = Self {
            connection,
            ended,
            config_is_allowed: false,
        };
        if context.options.persistence == Persistence::Always {
            session.config_is_allowed = session.may_ask_config().await?;
        }
        // The first transaction checks the server and settles the marker.
        session.run(context, |_| {}).await?;
        Ok(session)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    async fn may_ask_config(&self) -> Result<bool, Failure> {
        for parameter in SYNC_PARAMETERS {
            let mut ask = cmd("CONFIG");
            ask.arg("GET").arg(parameter);
            match ask.query_async::<Value>(&mut self.connection.clone()).await {
                Ok(_) => {}
                // The server itself said no: the command is renamed, or not for this user.
                Err(error) if error.code().is_some() => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Runs the commands that `add` adds, in one transaction with the questions to the server and its marker: one round
    /// trip, unless the marker has to be settled.
    pub(super) async fn run(
        &self,
        context: &Context,
        add: impl FnOnce(&mut Pipeline),
    ) -> Result<Answer, Failure> {
        let options = &context.options;
        let questions = Questions::new(options, self.config_is_allowed);
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        questions.ask(&mut pipeline);
        Marker::ask(&mut pipeline, context.names.marker());
        add(&mut pipeline);

        let before = context.clock.unix_seconds();
        let mut values = self.send(&pipeline).await?.into_iter();
        let after = context.clock.unix_seconds();

        let server = Server::read(&mut values, questions)?;
        let mut marker = Marker::read(&mut values)?;
        // Before the clock is judged: what a wrong one has let the server forget stays known.
        let latest = context
            .latest
            .fetch_max(server.seconds, Ordering::Relaxed)
            .max(server.seconds);
        server.check_role_and_clock(options.tolerance(), before, after)?;
        let keeping = server.check_keeping();
        if !marker.is_settled(&server) {
            // Not forgiven while the server is set up wrongly: what was entered meanwhile may be lost.
            let outlives_restarts = options.persistence == Persistence::Always && keeping.is_ok();
            marker = self.settle(context, outlives_restarts).await?;
        }
        keeping?;
        Ok(Answer {
            values,
            marker,
            latest,
            seconds: server.seconds,
        })
    }

    async fn settle(&self, context: &Context, outlives_restarts: bool) -> Result<Marker, Failure> {
        let mut pipeline = redis::pipe();
        let (key, margin) = (context.names.marker(), context.options.margin());
        Marker::settle(&mut pipeline, key, outlives_restarts, margin);
        Marker::read(&mut self.send(&pipeline).await?.into_iter())
    }

    async fn send(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Failure> {
        let mut connection = self.connection.clone();
        Ok(pipeline.query_async(&mut connection).await?)
    }
}
