//! Moving sealed values: to the primary key, and to another row.

use crate::context::FieldContext;
use crate::envelope::Envelope;
use crate::error::Error;
use crate::observe::Operation;
use crate::resources::minutes;
use crate::seal::{Batch, PreparedKey};
use crate::secret::SecretBytes;

/// What became of a value that was to be moved to the primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrapped {
    /// It is under the primary key, says its header. It was not opened, so not verified either.
    Current,
    /// The value under the primary key. It replaces the one before.
    Moved(Vec<u8>),
}

impl PreparedKey {
    /// Moves a value to the primary key, at the same place: after a rotation, so that the key before can go. To update
    /// a row, compare: `UPDATE ... SET v = new WHERE v = old`, or a concurrent change is lost.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`seal`](Self::seal).
    pub fn rewrap(&self, envelope: &[u8], context: &FieldContext) -> Result<Rewrapped, Error> {
        self.rewrap_many(&[(envelope, context)])?
            .pop()
            .unwrap_or(Err(Error::Open))
    }

    /// Moves many values to the primary key, in one batch. Guard and observer are asked for [`Operation::Rewrap`].
    ///
    /// # Errors
    /// The outer error is the whole batch's; the inner ones are an item's own.
    pub fn rewrap_many(&self, items: &[(&[u8], &FieldContext)]) -> Batch<Rewrapped> {
        let now = minutes(self.fresh_now()?);
        let primary = self.keys.primary(now).ok_or_else(|| self.no_key())?;
        let is_current = |bytes: &[u8]| {
            Envelope::parse(bytes).is_ok_and(|envelope| {
                let header = envelope.header();
                header.fek_id == primary.info.fek_id && self.admit_header(header, now).is_ok()
            })
        };
        let current: Vec<bool> = items.iter().map(|(bytes, _)| is_current(bytes)).collect();
        let to_move: Vec<(&[u8], &FieldContext)> = items
            .iter()
            .zip(&current)
            .filter_map(|(item, current)| (!current).then_some(*item))
            .collect();
        let places: Vec<&FieldContext> = to_move.iter().map(|(_, context)| *context).collect();
        let mut moved = self.reseal(&to_move, &places)?.into_iter();
        Ok(current
            .into_iter()
            .map(|current| match current {
                true => Ok(Rewrapped::Current),
                false => moved
                    .next()
                    .unwrap_or(Err(Error::Open))
                    .map(Rewrapped::Moved),
            })
            .collect())
    }

    /// Moves a value from the place `from` to the place `to`, on purpose: a row got another key, a column another id. The
    /// result is under the primary key; the value before still opens at `from`.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`seal`](Self::seal).
    pub fn rebind(
        &self,
        envelope: &[u8],
        from: &FieldContext,
        to: &FieldContext,
    ) -> Result<Vec<u8>, Error> {
        self.reseal(&[(envelope, from)], &[to])?
            .pop()
            .unwrap_or(Err(Error::Open))
    }

    /// Opens each value where it is and seals it at its new place.
    fn reseal(&self, items: &[(&[u8], &FieldContext)], places: &[&FieldContext]) -> Batch<Vec<u8>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.open_as(items, Operation::Rewrap)?;
        let texts: Vec<(&[u8], &FieldContext)> = opened
            .iter()
            .zip(places)
            .filter_map(|(text, place)| Some((text.as_ref().ok()?.expose(), *place)))
            .collect();
        let mut sealed = match texts.is_empty() {
            true => Vec::new(),
            false => self.seal_as(&texts, Operation::Rewrap)?,
        }
        .into_iter();
        let one = |text: Result<SecretBytes, Error>| match text {
            Ok(_) => sealed.next().unwrap_or(Err(Error::Open)),
            Err(e) => Err(e),
        };
        Ok(opened.into_iter().map(one).collect())
    }
}
