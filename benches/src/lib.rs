//! What the benches share: criterion's settings, the clock, and running futures.

pub mod measured;

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::Criterion;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use rustix::time::{ClockId, clock_gettime};

/// Short runs: what is read off is the ratio to the peer beside it, not the third digit.
fn settings<M: Measurement>(criterion: Criterion<M>) -> Criterion<M> {
    criterion
        .sample_size(15)
        .warm_up_time(Duration::from_millis(400))
        .measurement_time(Duration::from_millis(1500))
        .nresamples(10_000)
        .configure_from_args()
}

/// For flows that compute in one thread: what they cost it, whoever else is on the machine.
#[must_use]
pub fn computing() -> Criterion<CpuTime> {
    settings(Criterion::default().with_measurement(CpuTime))
}

/// For flows that wait for the disk or for each other.
#[must_use]
pub fn waiting() -> Criterion {
    settings(Criterion::default())
}

/// Processor time of the measuring thread, system calls included.
pub struct CpuTime;

impl CpuTime {
    fn now() -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.cast_unsigned(), now.tv_nsec as u32)
    }
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Self::now()
    }

    fn end(&self, start: Duration) -> Duration {
        Self::now() - start
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// The output of a future that is ready at once; spares the peers an executor's cost.
///
/// # Panics
/// When it is not.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

/// Runs a future to its end, for preparations that are not measured.
///
/// # Panics
/// When no runtime can be made.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// A folder on the disk that holds the build, removed at the end. `/tmp` may be memory.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn folder(parent: &str) -> tempfile::TempDir {
    tempfile::tempdir_in(Path::new(parent)).unwrap()
}
