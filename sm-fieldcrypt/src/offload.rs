//! Blocking work (file locks, `fsync`) kept off the caller's executor, whichever executor that is.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// A boxed future: what object-safe async traits of this crate return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

enum Slot<T> {
    Waiting(Option<Waker>),
    Done(T),
    Lost,
}

struct Shared<T>(Mutex<Slot<T>>);

impl<T> Shared<T> {
    fn finish(&self, next: Slot<T>) {
        let before = std::mem::replace(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            next,
        );
        if let Slot::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

/// Sets `Lost` when the worker ends without a result, so that nobody waits for ever.
struct Finish<T>(Option<Arc<Shared<T>>>);

impl<T> Drop for Finish<T> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.finish(Slot::Lost);
        }
    }
}

struct Offloaded<T>(Arc<Shared<T>>);

impl<T> Future for Offloaded<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Lost) {
            Slot::Waiting(_) => {
                *slot = Slot::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
            Slot::Done(value) => Poll::Ready(Some(value)),
            Slot::Lost => Poll::Ready(None),
        }
    }
}

/// Runs `work` on a thread of its own and waits for it without blocking the executor. `None` when the thread
/// cannot be started or ends without a result. Meant for rare work: one thread a call.
pub(crate) async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let shared = Arc::new(Shared(Mutex::new(Slot::Waiting(None))));
    let mut finish = Finish(Some(Arc::clone(&shared)));
    let spawned = std::thread::Builder::new()
        .name("sm-fieldcrypt-io".into())
        .spawn(move || {
            let value = work();
            if let Some(shared) = finish.0.take() {
                shared.finish(Slot::Done(value));
            }
        });
    match spawned {
        Ok(_detached) => Offloaded(shared).await,
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::offload;

    #[tokio::test]
    async fn returns_the_value() {
        assert_eq!(offload(|| 6 * 7).await, Some(42));
    }

    #[tokio::test]
    async fn a_lost_worker_is_noticed() {
        assert_eq!(
            offload(|| -> u8 { panic!("expected by the test") }).await,
            None
        );
    }
}
