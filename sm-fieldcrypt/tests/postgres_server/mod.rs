//! A real PostgreSQL server on a free loopback port, with a folder of its own.
#![allow(dead_code, unreachable_pub)]

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes; reaching it is a failure.
const DEADLINE: Duration = Duration::from_secs(60);

/// Ended and its folder removed at the end.
pub struct Server {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

/// Where `initdb` and `postgres` are.
fn programs() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let debian = debian.flatten().map(|version| version.path().join("bin"));
    std::env::split_paths(&on_path)
        .chain(debian)
        .find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
}

/// PostgreSQL does not run as root: as the user that Debian makes for it then.
fn command(program: &Path, is_root: bool) -> Command {
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program);
    command
}

impl Server {
    /// `None`, with a printed word, where there is no PostgreSQL, unless peers are required.
    pub fn start() -> Option<Self> {
        let Some(bin) = programs() else {
            assert!(
                !super::common::require_peers(),
                "no PostgreSQL, and REQUIRE_PEERS=1"
            );
            println!("SKIPPED: no PostgreSQL");
            return None;
        };
        let id = Command::new("id").arg("-u").output().unwrap();
        let is_root = id.stdout.trim_ascii() == b"0";
        let dir = tempfile::tempdir().unwrap();
        if is_root {
            let status = Command::new("chown")
                .arg("postgres")
                .arg(dir.path())
                .status();
            assert!(status.unwrap().success());
        }
        let data = dir.path().join("data");
        let output = command(&bin.join("initdb"), is_root)
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=test",
                "--encoding=UTF8",
                "-D",
            ])
            .arg(&data)
            .current_dir("/")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = command(&bin.join("postgres"), is_root)
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "fsync=off", "-c"])
            .arg("listen_addresses=127.0.0.1")
            .args(["-c", "unix_socket_directories=", "-c", "max_connections=30"])
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { child, port, dir })
    }

    /// Waits until the server answers.
    pub async fn pool(&self) -> PgPool {
        let url = format!("postgres://test@127.0.0.1:{}/postgres", self.port);
        let start = Instant::now();
        loop {
            let options = PgPoolOptions::new()
                .max_connections(8)
                .acquire_timeout(Duration::from_secs(2));
            match options.connect(&url).await {
                Ok(pool) => return pool,
                Err(e) => assert!(start.elapsed() < DEADLINE, "{e}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ended at once; its pools get errors from then on.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
