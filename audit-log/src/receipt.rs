//! Receipts: a promise kept by the writer thread, awaited or waited for.

use crate::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

enum State<T> {
    Waiting(Vec<Waker>),
    Done(Result<T, Error>),
}

struct Slot<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's half. Dropped unkept, it answers that the log is closed.
pub(crate) struct Promise<T>(Arc<Slot<T>>);

impl<T> Promise<T> {
    /// Gives the answer; the first one counts.
    pub(crate) fn keep(self, result: Result<T, Error>) {
        settle(&self.0, result);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        settle(&self.0, Err(Error::Closed));
    }
}

fn settle<T>(slot: &Slot<T>, result: Result<T, Error>) {
    let mut state = slot.lock();
    if let State::Waiting(wakers) = &mut *state {
        let wakers = std::mem::take(wakers);
        *state = State::Done(result);
        drop(state);
        slot.done.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Proof that something was handed to the log, and the way to learn that it is durable.
///
/// Dropping it does not take the event back.
#[must_use = "an event is durable only once the receipt says so"]
pub struct Receipt<T = Committed>(Arc<Slot<T>>);

/// A promise and its receipt.
pub(crate) fn pair<T>() -> (Promise<T>, Receipt<T>) {
    let slot = Arc::new(Slot {
        state: Mutex::new(State::Waiting(Vec::new())),
        done: Condvar::new(),
    });
    (Promise(Arc::clone(&slot)), Receipt(slot))
}

impl<T: Clone> Receipt<T> {
    /// Blocks this thread until the answer is there.
    ///
    /// # Errors
    /// Why it is not durable: the storage failed, the log stopped, the signer refused.
    pub fn wait(&self) -> Result<T, Error> {
        let mut state = self.0.lock();
        loop {
            if let State::Done(result) = &*state {
                return result.clone();
            }
            state = self
                .0
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The same as a future; works on every runtime.
    pub fn durable(&self) -> Durable<T> {
        Durable(Arc::clone(&self.0))
    }

    /// The answer, if it is there already.
    pub fn try_get(&self) -> Option<Result<T, Error>> {
        match &*self.0.lock() {
            State::Done(result) => Some(result.clone()),
            State::Waiting(_) => None,
        }
    }
}

impl<T> std::fmt::Debug for Receipt<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let done = matches!(&*self.0.lock(), State::Done(_));
        f.debug_struct("Receipt").field("done", &done).finish()
    }
}

/// Resolves when the answer is there; see [`Receipt::durable`].
#[must_use = "futures do nothing unless polled"]
pub struct Durable<T = Committed>(Arc<Slot<T>>);

impl<T: Clone> Future for Durable<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self.0.lock() {
            State::Done(result) => Poll::Ready(result.clone()),
            State::Waiting(wakers) => {
                if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    wakers.push(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

/// Where a durable event stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub(crate) stream: Arc<str>,
    /// Its sequence in the stream, from 0; also its index in the Merkle tree.
    pub sequence: u64,
    /// Its leaf hash.
    pub leaf: [u8; 32],
}

impl Committed {
    /// The stream's id. With the sequence it names the event for ever.
    pub fn stream(&self) -> &str {
        &self.stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_broken_and_awaited() {
        let (promise, receipt) = pair::<u8>();
        assert!(receipt.try_get().is_none());
        let mut future = receipt.durable();
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut future).poll(&mut context).is_pending());
        promise.keep(Ok(7));
        assert_eq!(receipt.wait().unwrap(), 7);
        assert!(matches!(
            Pin::new(&mut future).poll(&mut context),
            Poll::Ready(Ok(7))
        ));

        let (promise, receipt) = pair::<u8>();
        drop(promise);
        assert!(matches!(receipt.wait(), Err(Error::Closed)));
    }
}
