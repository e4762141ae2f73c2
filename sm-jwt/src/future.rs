//! Futures behind object-safe traits.

use std::future::Future;
use std::pin::Pin;

/// A boxed future, so that stores, resolvers and signers can be trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
