//! Real Redis servers, each on a free loopback port with a folder of its own, and what the tests ask of them.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sm_jwt::*;

/// Longer than anything here takes; reaching it is a failure.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Whether `redis-server` is here; the test is skipped without it unless peers are required.
pub fn redis_is_here() -> bool {
    let found = Command::new("redis-server")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        let required = std::env::var("REQUIRE_PEERS").is_ok_and(|value| value == "1");
        assert!(!required, "no redis-server command");
        println!("SKIPPED: no redis-server command");
    }
    found
}

/// A server, ended and its folder removed at the end.
pub struct Server {
    child: Option<Child>,
    pub port: u16,
    dir: PathBuf,
    args: Vec<String>,
    /// The library that shows it another clock.
    clock: Option<PathBuf>,
}

impl Server {
    /// Keeps nothing on disk unless `args` say so.
    pub fn start(args: &[&str]) -> Self {
        Self::start_in(Self::folder(), args, None)
    }

    /// One whose clock can be [`set`](Self::set_clock). It starts with the right time.
    pub fn start_with_clock() -> Self {
        let dir = Self::folder();
        let library = dir.join("clock.so");
        let source = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/suite/redis_server/clock.c"
        );
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([library.as_os_str(), source.as_ref()])
            .status();
        assert!(status.expect("no C compiler").success());
        fs::write(dir.join("clock"), 0i64.to_ne_bytes()).unwrap();
        Self::start_in(dir, &[], Some(library))
    }

    fn folder() -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let name = format!("sm-jwt-redis-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn start_in(dir: PathBuf, args: &[&str], clock: Option<PathBuf>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let id = std::process::id();
        let mut server = Self {
            child: None,
            port: 0,
            dir,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            clock,
        };
        // Below the ports that outgoing connections get: while a server is down, nobody else takes its port by chance,
        // and no connection reaches itself.
        for attempt in 0..200 {
            let port = 20_000 + (u64::from(id) * 31 + number * 7 + attempt * 101) % 12_000;
            server.port = u16::try_from(port).unwrap();
            if TcpListener::bind(("127.0.0.1", server.port)).is_ok() && server.try_start() {
                return server;
            }
        }
        panic!("no free port: {}", server.log());
    }

    /// Starts again on the same port, with the same folder.
    pub fn restart(&mut self) {
        assert!(self.child.is_none());
        assert!(self.try_start(), "{}", self.log());
    }

    fn try_start(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        if let Some(library) = &self.clock {
            command
                .env("LD_PRELOAD", library)
                .env("CLOCK_FILE", self.dir.join("clock"));
        }
        let child = command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--repl-diskless-sync-delay", "0"])
            .args(["--logfile", "log", "--dir", self.dir.to_str().unwrap()])
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id().to_string();
        self.child = Some(child);
        let start = Instant::now();
        loop {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap().is_some();
            if ended {
                self.child = None;
                return false;
            }
            // It answers, has loaded its data, and is no stranger on the same port.
            if let Ok(mut connection) = self.try_connection()
                && redis::cmd("PING").exec(&mut connection).is_ok()
                && self.info("process_id") == pid
            {
                return true;
            }
            assert!(start.elapsed() < DEADLINE, "{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sets the clock to so many seconds ahead of the right time.
    pub fn set_clock(&self, ahead: i64) {
        // In place: the server has the file mapped.
        let mut file = fs::File::options()
            .write(true)
            .open(self.dir.join("clock"))
            .unwrap();
        file.write_all(&ahead.to_ne_bytes()).unwrap();
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Other settings from the next start on.
    pub fn set_args(&mut self, args: &[&str]) {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    }

    /// Removes a folder of the server's own.
    pub fn remove(&self, name: &str) {
        fs::remove_dir_all(self.dir.join(name)).unwrap();
    }

    /// Stops or continues the process where it is.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success());
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    fn try_connection(&self) -> redis::RedisResult<redis::Connection> {
        let connection =
            redis::Client::open(self.url())?.get_connection_with_timeout(Duration::from_secs(1))?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(connection)
    }

    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let (name, args) = words.split_first().unwrap();
        redis::cmd(name)
            .arg(args)
            .query(&mut self.try_connection().unwrap())
            .unwrap()
    }

    pub fn tell(&self, words: &[&str]) {
        self.ask::<redis::Value>(words);
    }

    /// A field of `INFO`.
    pub fn info(&self, name: &str) -> String {
        self.ask::<String>(&["INFO", "everything"])
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap_or_default()
            .to_owned()
    }

    /// Makes this server a replica and waits until it has the other's data.
    pub fn follow(&self, master: &Server) {
        self.tell(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
        wait_for(|| self.info("master_link_status") == "up");
        wait_for(|| self.info("slave_repl_offset") == master.info("master_repl_offset"));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Polls until it holds.
pub fn wait_for(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "waited too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Small tolerances, so that a test need not wait long for `since` to pass.
pub fn options() -> RedisOptions {
    RedisOptions::new()
        .prefix("test:")
        .skew(Duration::ZERO)
        .clock_tolerance(Duration::from_secs(TOLERANCE))
}

pub const TOLERANCE: u64 = 1;
/// The seconds from a loss to `since` with these options.
pub const MARGIN: u64 = TOLERANCE + 1;

pub fn store_with(server: &Server, options: RedisOptions) -> RedisStore {
    RedisStore::new(&server.url(), options, Arc::new(SystemClock)).unwrap()
}

pub fn store(server: &Server) -> RedisStore {
    store_with(server, options())
}

/// An entry kept for an hour.
pub fn entry(name: &str, issued_at: u64) -> ReplayEntry {
    ReplayEntry::new(
        ReplayKey::new("txn+jwt", "issuer", name),
        issued_at,
        now() + 3600,
    )
}

/// One issued after any `since` that a test sees.
pub fn new_entry(name: &str) -> ReplayEntry {
    entry(name, now() + 1000)
}

/// What consuming an entry answers, in a word.
pub async fn consume(store: &RedisStore, entry: &ReplayEntry) -> &'static str {
    // No call waits longer than its timeouts allow, whatever the server does.
    let call = tokio::time::timeout(Duration::from_secs(10), store.consume(entry.clone()));
    match call.await.expect("a call without end") {
        Ok(ReplayOutcome::Fresh) => "fresh",
        Ok(ReplayOutcome::Replayed) => "replayed",
        Err(error) => word(&error),
    }
}

pub fn word(error: &StoreError) -> &'static str {
    match error {
        StoreError::Full => "full",
        StoreError::ClockWentBack => "clock went back",
        StoreError::IssuedBeforeStart => "issued before start",
        StoreError::WrongSetup(_) => "wrong set-up",
        StoreError::Unavailable(_) => "unavailable",
        _ => "other",
    }
}

/// Consumes entries of new names until one is answered so.
pub async fn until_consume_is(store: &RedisStore, name: &str, expected: &str) {
    let start = Instant::now();
    for round in 0.. {
        let last = consume(store, &new_entry(&format!("{name}-{round}"))).await;
        if last == expected {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{last} instead of {expected}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
